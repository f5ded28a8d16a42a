/** What Go's encoder escapes in strings besides JSON's own: it keeps JSON safe inside HTML and JavaScript. */
const escaped = /[<>&\u2028\u2029]/g

/** JSON as GORB writes it (Go's json.MarshalIndent): one tab a level, no newline at the end, `<>&` as \u003c and so on. */
export function goJson(value: unknown): string {
  return JSON.stringify(value, null, '\t').replace(
    escaped,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
