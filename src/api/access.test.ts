import { describe, expect, it } from 'vitest'
import { decide, hostName, type AccessRules, type RequestFacts } from './access.ts'

const local: RequestFacts = {
  path: '/service',
  scheme: 'http',
  peerAddress: '127.0.0.1',
  localAddress: '127.0.0.1',
  host: 'localhost:4672',
  origin: null,
  secFetchSite: null,
  forwarded: false,
  token: 'absent',
  certificate: 'absent',
}
const rules: AccessRules = {
  localTrust: 'any',
  isOwnName: (name) => ['localhost', '127.0.0.1', '10.0.2.15', '::1', 'lb.test'].includes(name),
  isSameUser: () => true,
}
const remote: Partial<RequestFacts> = {
  peerAddress: '10.0.2.99',
  localAddress: '10.0.2.15',
  host: '10.0.2.15:4672',
}

const verdict = (facts: Partial<RequestFacts>, changed: Partial<AccessRules> = {}): number => {
  const decision = decide({ ...local, ...facts }, { ...rules, ...changed })
  return decision.allow ? 200 : decision.status
}

describe('decide', () => {
  it.each<[string, Partial<RequestFacts>, number]>([
    ['loopback', {}, 200],
    ['IPv6 loopback', { peerAddress: '::1', localAddress: '::1', host: '[::1]:4672' }, 200],
    ['mapped loopback', { peerAddress: '::ffff:127.0.0.1', localAddress: '::ffff:127.0.0.1' }, 200],
    ['another loopback address', { peerAddress: '127.9.9.9', localAddress: '127.0.0.1' }, 200],
    [
      'own address to own address',
      { peerAddress: '10.0.2.15', localAddress: '10.0.2.15', host: '10.0.2.15' },
      200,
    ],
    [
      'the same, one mapped',
      { peerAddress: '::ffff:10.0.2.15', localAddress: '10.0.2.15', host: 'lb.test' },
      200,
    ],
    ['another host', remote, 401],
    ['another host that says localhost', { ...remote, host: 'localhost' }, 401],
    ['a closed socket', { peerAddress: '', localAddress: '' }, 401],
    ['a name of somebody else (rebinding)', { host: 'evil.test:4672' }, 401],
    ['rebinding with its own origin', { host: 'evil.test', origin: 'http://evil.test' }, 401],
    ['no Host header, or two', { host: null }, 401],
    ['a malformed Host header', { host: 'localhost@evil.test' }, 401],
    ['forwarded by a proxy', { forwarded: true }, 401],
    ['forwarded, with the token', { forwarded: true, token: 'right' }, 200],
    ['own origin', { origin: 'http://localhost:4672' }, 200],
    ['own origin, default port written out', { host: 'localhost', origin: 'http://localhost:80' }, 200],
    ['another port of this host', { origin: 'http://localhost:3000' }, 403],
    ['another scheme', { origin: 'https://localhost:4672' }, 403],
    ['a foreign origin', { origin: 'http://evil.test' }, 403],
    ['an opaque origin', { origin: 'null' }, 403],
    ['a foreign origin with the token', { origin: 'http://evil.test', token: 'right' }, 403],
    ['cross-site', { secFetchSite: 'cross-site' }, 403],
    ['cross-site in other letters', { secFetchSite: 'Cross-Site', certificate: 'right' }, 403],
    ['same-origin', { secFetchSite: 'same-origin' }, 200],
    ['typed into the address bar', { secFetchSite: 'none' }, 200],
    ['health for anybody', { ...remote, path: '/healthz', token: 'wrong' }, 200],
    ['health for foreign pages', { path: '/healthz', origin: 'http://evil.test' }, 403],
    ['something like health', { ...remote, path: '/healthz/x' }, 401],
    ['remote with the token', { ...remote, token: 'right' }, 200],
    ['remote with a stale token', { ...remote, token: 'wrong' }, 401],
    ['local with a stale token', { token: 'wrong' }, 401],
    ['remote with a certificate', { ...remote, certificate: 'right' }, 200],
    ['remote with a certificate of another authority', { ...remote, certificate: 'wrong' }, 401],
    ['local with a certificate of another authority', { certificate: 'wrong' }, 401],
    ['a wrong certificate but the token', { ...remote, certificate: 'wrong', token: 'right' }, 200],
  ])('%s', (_name, facts, expected) => {
    expect(verdict(facts)).toBe(expected)
  })

  it.each([
    ['any', false, 200],
    ['same-user', true, 200],
    ['same-user', false, 401],
    ['none', true, 401],
  ] as const)('local trust %s, same user %s: %s', (localTrust, same, expected) => {
    expect(verdict({}, { localTrust, isSameUser: () => same })).toBe(expected)
  })

  it('never lets in without a reason: over all combinations of facts', () => {
    const pick = <K extends keyof RequestFacts>(name: K, values: readonly RequestFacts[K][]) =>
      values.map((value) => ({ [name]: value }))
    const axes = [
      pick('path', ['/service', '/healthz']),
      pick('peerAddress', ['127.0.0.1', '::1', '10.0.2.15', '10.0.2.99', '']),
      pick('host', ['localhost', 'evil.test', null]),
      pick('origin', [null, 'http://localhost', 'http://evil.test']),
      pick('secFetchSite', [null, 'same-site', 'cross-site']),
      pick('forwarded', [false, true]),
      pick('token', ['absent', 'right', 'wrong']),
      pick('certificate', ['absent', 'right', 'wrong']),
    ] as Partial<RequestFacts>[][]
    const all = axes.reduce<Partial<RequestFacts>[]>(
      (facts, axis) => facts.flatMap((fact) => axis.map((more) => ({ ...fact, ...more }))),
      [{ localAddress: '10.0.2.15' }],
    )
    expect(all).toHaveLength(2 * 5 * 3 * 3 * 3 * 2 * 3 * 3)
    for (const facts of all) {
      for (const localTrust of ['any', 'same-user', 'none'] as const) {
        for (const same of [true, false]) {
          const foreign =
            facts.secFetchSite === 'cross-site' ||
            (facts.origin !== null && facts.origin !== `http://${facts.host}`)
          const credentials = facts.token === 'right' || facts.certificate === 'right'
          const offered = facts.token === 'wrong' || facts.certificate === 'wrong'
          const here =
            localTrust !== 'none' &&
            ['127.0.0.1', '::1', '10.0.2.15'].includes(facts.peerAddress ?? '') &&
            facts.host === 'localhost' &&
            facts.forwarded === false &&
            (localTrust === 'any' || same)
          const passes = facts.path === '/healthz' || credentials || (here && !offered)
          const expected = foreign ? 403 : passes ? 200 : 401
          expect(verdict(facts, { localTrust, isSameUser: () => same }), JSON.stringify(facts)).toBe(expected)
        }
      }
    }
  })

  it('asks for the user only where that decides', () => {
    const asked: string[] = []
    const isSameUser = () => asked.push('asked') > 0
    verdict(remote, { localTrust: 'same-user', isSameUser })
    verdict({ token: 'right' }, { localTrust: 'same-user', isSameUser })
    verdict({}, { localTrust: 'any', isSameUser })
    expect(asked).toEqual([])
    expect(verdict({}, { localTrust: 'same-user', isSameUser })).toBe(200)
    expect(asked).toEqual(['asked'])
  })
})

describe('hostName', () => {
  it.each([
    ['localhost', 'localhost'],
    ['LocalHost.:80', 'localhost'],
    ['[::1]:4672', '::1'],
    ['10.0.2.15:4672', '10.0.2.15'],
    ['', null],
    ['::1', null],
    ['a b', null],
    ['localhost/', null],
    ['user@localhost', null],
    ['localhost:99:1', null],
  ])('%s', (header, expected) => {
    expect(hostName(header)).toBe(expected)
  })
})
