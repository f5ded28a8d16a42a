import {
  ABSOLUTE_FORM,
  ASTERISK_FORM,
  BY_CHUNKS,
  BY_CLOSE,
  BY_LENGTH,
  type HeadLimits,
  NO_BODY,
  ORIGIN_FORM,
  TUNNEL,
} from './head.ts'

/*
 * A slow parser of the same messages, for tests: text, lines and regular expressions after the grammar of RFC 9110 and 9112,
 * looked at from the beginning each time. It shares no code with the scanner. Bytes are characters of latin1.
 */

export type Verdict<Found> =
  | { readonly verdict: 'more' }
  | { readonly verdict: 'refused'; readonly status: number }
  | ({ readonly verdict: 'done' } & Found)

/** What a head says. Fields that are not passed on are marked. */
export interface HeadFacts {
  readonly start: number
  readonly end: number
  readonly method: string
  readonly target: string
  readonly path: string
  readonly form: number
  readonly status: number
  readonly reason: string
  readonly minor: number
  readonly fields: readonly (readonly [name: string, value: string, treatment: Treatment])[]
  readonly framing: number
  readonly contentLength: number
  readonly keepAlive: boolean
  readonly upgrade: boolean
  readonly expectsContinue: boolean
}

export type Treatment = 'pass' | 'own' | 'length' | 'expect' | 'drop'

class Refused extends Error {
  readonly status: number
  constructor(status: number) {
    super(`refused with ${status}`)
    this.status = status
  }
}

const t = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]"
const v = '[\\t\\x20-\\x7e\\x80-\\xff]'
const token = new RegExp(`^${t}+$`)
const tokenStart = new RegExp(`^${t}*`)
const targetStart = /^[\x21\x22\x24-\x7e]*/
const versionLine = /^HTTP\/(\d)\.(\d)\r$/
const statusLine = new RegExp(`^HTTP/(\\d)\\.(\\d) ([1-5]\\d\\d)(?: (${v}*))?\r$`)
const statusLineStart = new RegExp(`^HTTP/\\d\\.\\d [1-5]\\d\\d(?: ${v}*)?\r?$`)
const fieldLine = new RegExp(`^(${t}+):(${v}*)\r$`)
const fieldLineStart = new RegExp(`^(?:\r|(?:${t}+(?::${v}*\r?)?)?)$`)
const authority = /^(?:\[[0-9a-f:.]+\]|[-._~%!$&'()*+;=0-9a-z]+)(?::\d*)?$/i

const trim = (value: string): string => value.replace(/^[ \t]+|[ \t]+$/g, '')

export const referenceRequest = (text: string, limits: HeadLimits): Verdict<HeadFacts> =>
  judged(() => request(text, limits))

export const referenceResponse = (text: string, limits: HeadLimits, toHead: boolean): Verdict<HeadFacts> =>
  judged(() => response(text, limits, toHead))

function judged<Found>(parse: () => Found | null): Verdict<Found> {
  try {
    const found = parse()
    return found === null ? { verdict: 'more' } : { verdict: 'done', ...found }
  } catch (error) {
    if (error instanceof Refused) return { verdict: 'refused', status: error.status }
    throw error
  }
}

function request(text: string, limits: HeadLimits): HeadFacts | null {
  if (text === '' || text === '\r' || text === '\r\n') return null
  if (/^\r[^\n]/.test(text)) throw new Refused(400)
  const start = text.startsWith('\r\n') ? 2 : 0
  const head = text.slice(start, start + limits.headBytes)
  const [first = '', ...lines] = head.split('\n')
  const complete = lines.length > 0
  const full = head.length === limits.headBytes

  const method = tokenStart.exec(first)?.[0] ?? ''
  if (method.length > 32) throw new Refused(501)
  if (method === first && !complete) return unfinished(full, 431)
  if (method === '' || first[method.length] !== ' ') throw new Refused(400)
  if (method === 'CONNECT') throw new Refused(501)

  const afterMethod = first.slice(method.length + 1)
  const target = targetStart.exec(afterMethod)?.[0] ?? ''
  if (target.length > limits.targetBytes) throw new Refused(414)
  if (target === afterMethod && !complete) return unfinished(full, 414)
  if (afterMethod[target.length] !== ' ') throw new Refused(400)
  const { form, host, path } = formOf(method, target)

  const ending = afterMethod.slice(target.length + 1)
  if (!complete) {
    if (ending.length > 9 || !versionLine.test(ending + 'HTTP/1.1\r'.slice(ending.length)))
      throw new Refused(400)
    return unfinished(full, 431)
  }
  const version = versionLine.exec(ending)
  if (version === null) throw new Refused(400)
  if (version[1] !== '1') throw new Refused(505)
  const minor = Number(version[2])

  const fields = fieldsOf(lines, limits)
  if (fields === null) return unfinished(full, 431)
  const facts = factsOf(fields)
  if (facts.hosts.length === 0 && minor > 0) throw new Refused(400)
  if (host !== null && facts.hosts.some((given) => given.toLowerCase() !== host.toLowerCase()))
    throw new Refused(400)
  if (facts.chunked && (minor === 0 || facts.contentLength >= 0)) throw new Refused(400)
  const expectation = minor > 0 ? facts.expectation : undefined
  if (expectation !== undefined && expectation.toLowerCase() !== '100-continue') throw new Refused(417)
  const framing = facts.chunked ? BY_CHUNKS : facts.contentLength > 0 ? BY_LENGTH : NO_BODY
  return {
    start,
    end: start + head.split('\r\n\r\n', 1)[0]!.length + 4,
    method,
    target,
    path,
    form,
    status: 0,
    reason: '',
    minor,
    fields: treated(fields, facts.nominated),
    framing,
    contentLength: facts.contentLength,
    keepAlive: persists(facts, minor),
    upgrade: minor > 0 && facts.options.includes('upgrade') && /^(?!.*h2c)./i.test(facts.protocol ?? ''),
    expectsContinue: expectation !== undefined && framing !== NO_BODY,
  }
}

function response(text: string, limits: HeadLimits, toHead: boolean): HeadFacts | null {
  const head = text.slice(0, limits.headBytes)
  const [first = '', ...lines] = head.split('\n')
  const full = head.length === limits.headBytes
  if (lines.length === 0) {
    if (!statusLineStart.test(first + 'HTTP/1.1 200'.slice(first.length))) throw new Refused(400)
    return unfinished(full, 431)
  }
  const line = statusLine.exec(first)
  if (line === null) throw new Refused(400)
  if (line[1] !== '1') throw new Refused(505)
  const minor = Number(line[2])
  const status = Number(line[3])
  const fields = fieldsOf(lines, limits)
  if (fields === null) return unfinished(full, 431)
  const facts = factsOf(fields)
  if (facts.chunked && minor === 0) throw new Refused(400)
  if (status === 101 && facts.protocol === undefined) throw new Refused(400)
  const bodiless = status < 200 || status === 204 || status === 304 || toHead
  const { contentLength, chunked } = facts
  const framing =
    status === 101
      ? TUNNEL
      : bodiless
        ? NO_BODY
        : chunked
          ? BY_CHUNKS
          : contentLength < 0
            ? BY_CLOSE
            : contentLength > 0
              ? BY_LENGTH
              : NO_BODY
  const doubtful =
    (framing === BY_CHUNKS && contentLength >= 0) ||
    ((status < 200 || status === 204) && (chunked || contentLength > 0))
  return {
    start: 0,
    end: head.split('\r\n\r\n', 1)[0]!.length + 4,
    method: '',
    target: '',
    path: '',
    form: ORIGIN_FORM,
    status,
    reason: line[4] ?? '',
    minor,
    fields: treated(fields, facts.nominated),
    framing,
    contentLength,
    keepAlive: persists(facts, minor) && !doubtful && framing !== BY_CLOSE && framing !== TUNNEL,
    upgrade: status === 101,
    expectsContinue: false,
  }
}

/** A head that is as long as it may be and not at its end is refused. */
function unfinished(full: boolean, status: number): null {
  if (full) throw new Refused(status)
  return null
}

function formOf(method: string, target: string): { form: number; host: string | null; path: string } {
  if (target.startsWith('/')) return { form: ORIGIN_FORM, host: null, path: target }
  if (target === '*' && method === 'OPTIONS') return { form: ASTERISK_FORM, host: null, path: '*' }
  const [, host, path] = /^http:\/\/([^/?]+)(.*)$/i.exec(target) ?? []
  if (host === undefined || path === undefined || !authority.test(host)) throw new Refused(400)
  return { form: method === 'OPTIONS' && path === '' ? ASTERISK_FORM : ABSOLUTE_FORM, host, path }
}

type Fields = readonly (readonly [name: string, value: string])[]

/** The lines up to the empty one, each checked as it comes; null where it has not come. */
function fieldsOf(lines: readonly string[], limits: HeadLimits): Fields | null {
  const fields: [string, string][] = []
  for (const [index, line] of lines.entries()) {
    const complete = index < lines.length - 1
    if (complete && line === '\r') return fields
    if (fields.length === limits.fields && /^[^\r\t ]/.test(line)) throw new Refused(431)
    if (!complete) {
      if (!fieldLineStart.test(line)) throw new Refused(400)
      return null
    }
    const field = fieldLine.exec(line)
    if (field === null) throw new Refused(400)
    fields.push([field[1]!, trim(field[2]!)])
    factsOf(fields)
  }
  return null
}

/** What the fields say, in their order: the first wrong one decides. */
function factsOf(fields: Fields) {
  const hosts: string[] = []
  const lengths: string[] = []
  const codings: string[] = []
  const options: string[] = []
  let protocol: string | undefined
  let expectation: string | undefined
  for (const [name, value] of fields) {
    switch (name.toLowerCase()) {
      case 'host':
        if (hosts.push(value) > 1 || (value !== '' && !authority.test(value))) throw new Refused(400)
        break
      case 'content-length':
        if (lengths.push(value) > 1 || !/^[0-9]+$/.test(value)) throw new Refused(400)
        if (BigInt(value) > 2n ** 53n - 1n) throw new Refused(413)
        break
      case 'transfer-encoding':
        if (codings.push(value) > 1) throw new Refused(400)
        if (value.toLowerCase() !== 'chunked') throw new Refused(/,[ \t]*chunked$/i.test(value) ? 501 : 400)
        break
      case 'connection':
        for (const member of value.split(',').map(trim)) {
          if (member === '') continue
          if (!token.test(member)) throw new Refused(400)
          options.push(member.toLowerCase())
        }
        if (options.filter(isNomination).length > 32) throw new Refused(400)
        break
      case 'upgrade':
        protocol ??= value
        break
      case 'expect':
        expectation ??= value
        break
      default:
    }
  }
  return {
    hosts,
    contentLength: lengths[0] === undefined ? -1 : Number(lengths[0]),
    chunked: codings.length > 0,
    options,
    nominated: options.filter(isNomination),
    protocol,
    expectation,
  }
}

const isNomination = (option: string): boolean => !['close', 'keep-alive', 'upgrade'].includes(option)

function persists({ options }: { readonly options: readonly string[] }, minor: number): boolean {
  return !options.includes('close') && (minor > 0 || options.includes('keep-alive'))
}

const treatments: Readonly<Record<string, Treatment>> = {
  host: 'own',
  connection: 'own',
  'transfer-encoding': 'own',
  upgrade: 'own',
  'content-length': 'length',
  expect: 'expect',
  'keep-alive': 'drop',
  'proxy-connection': 'drop',
  te: 'drop',
  'http2-settings': 'drop',
}

function treated(fields: Fields, nominated: readonly string[]): [string, string, Treatment][] {
  return fields.map(([name, value]) => {
    const lower = name.toLowerCase()
    const lookalike =
      !Object.hasOwn(treatments, lower) && Object.hasOwn(treatments, lower.replaceAll('_', '-'))
    const treatment = lookalike ? 'drop' : Object.hasOwn(treatments, lower) ? treatments[lower]! : undefined
    return [name, value, treatment ?? (nominated.includes(lower) ? 'drop' : 'pass')]
  })
}
