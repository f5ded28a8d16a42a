/** The addresses of a list in which commas stand as in ovn-nbctl's --db. */
export const splitAddresses = (list: readonly string[]): string[] =>
  list.flatMap((text) => text.split(',')).map((text) => text.trim())

/** True for an active connection as in ovsdb(7): unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT, IPv6 in brackets. */
export function isOvsdbAddress(text: string): boolean {
  if (text.startsWith('unix:')) return text.length > 'unix:'.length
  const [, port = ''] = /^(?:tcp|ssl):(?:\[[0-9a-fA-F:.%\w]+\]|[^\s:[\]/]+):(\d{1,5})$/.exec(text) ?? []
  return Number(port) >= 1 && Number(port) <= 65_535
}
