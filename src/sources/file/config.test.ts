import fc from 'fast-check'
import { stringify as stringifyToml } from 'smol-toml'
import { describe, expect, it } from 'vitest'
import { stringify as stringifyYaml } from 'yaml'
import { parseConfig, type Format } from './config.ts'

const errorsOf = (text: string, format: Format = 'yaml'): string => {
  const result = parseConfig(text, format, `torb.${format}`)
  return result.ok ? '' : result.errors.join('\n')
}

const lines = (...text: string[]): string => `${text.join('\n')}\n`

describe('a valid configuration', () => {
  const name = fc.oneof(
    fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/),
    fc.nat(30).map(String),
    fc.constantFrom('with space', 'a.b', 'ä', '"', '10', '01', 'null', '#'),
  )
  const pulse = fc.record(
    {
      type: fc.constantFrom('tcp', 'http', 'none'),
      interval: fc.constantFrom('1s', '1m'),
      rise: fc.integer({ min: 1, max: 9 }),
    },
    { requiredKeys: [] },
  )
  const backend = fc.record(
    {
      host: fc.ipV4(),
      port: fc.integer({ min: 1, max: 65_535 }),
      weight: fc.nat(1000),
      method: fc.constantFrom('nat', 'dr'),
      pulse,
    },
    { requiredKeys: ['host', 'port'] },
  )
  const service = fc.record(
    {
      host: fc.ipV4(),
      port: fc.integer({ min: 1, max: 65_535 }),
      protocol: fc.constantFrom('tcp', 'udp'),
      method: fc.constantFrom('rr', 'wrr', 'mh'),
      persistent: fc.boolean(),
      backends: fc.uniqueArray(fc.tuple(name, backend), { selector: ([id]) => id, maxLength: 5 }),
    },
    { requiredKeys: ['host', 'port'] },
  )
  const config = fc.record(
    {
      listen: fc.constantFrom(':4672', '[::1]:80'),
      flush: fc.boolean(),
      host_names: fc.array(fc.string({ unit: 'grapheme', maxLength: 8 }), { maxLength: 3 }),
      tcp_timeout: fc.integer({ min: 1, max: 9999 }),
      services: fc.uniqueArray(fc.tuple(name, service), { selector: ([id]) => id, maxLength: 4 }),
    },
    { requiredKeys: [] },
  )

  /** Maps keep the order that objects with keys like "10" lose. */
  const toMap = <T>(entries: readonly (readonly [string, T])[]): Map<string, T> => new Map(entries)

  it('means the same in YAML, JSON and TOML, and keeps the order of backends', () => {
    fc.assert(
      fc.property(config, ({ services, ...options }) => {
        const objects = services?.map(([id, { backends, ...service }]) => [id, service, backends] as const)
        const jsonObject = (entries: readonly (readonly [string, string])[]): string =>
          `{${entries.map(([key, value]) => `${JSON.stringify(key)}: ${value}`).join(',\n\t')}}`
        const json = jsonObject([
          ...Object.entries(options).map(([key, value]) => [key, JSON.stringify(value)] as const),
          ...(objects === undefined
            ? []
            : [
                [
                  'services',
                  jsonObject(
                    objects.map(([id, service, backends]) => [
                      id,
                      jsonObject([
                        ...Object.entries(service).map(
                          ([key, value]) => [key, JSON.stringify(value)] as const,
                        ),
                        ...(backends === undefined
                          ? []
                          : [
                              [
                                'backends',
                                jsonObject(
                                  backends.map(([id, backend]) => [id, JSON.stringify(backend)] as const),
                                ),
                              ] as const,
                            ]),
                      ]),
                    ]),
                  ),
                ] as const,
              ]),
        ])
        const maps = {
          ...options,
          ...(objects === undefined
            ? {}
            : {
                services: toMap(
                  objects.map(([id, service, backends]) => [
                    id,
                    { ...service, ...(backends === undefined ? {} : { backends: toMap(backends) }) },
                  ]),
                ),
              }),
        }
        // smol-toml writes objects, so the tables are put in order by hand.
        const toml = [
          stringifyToml(options),
          ...(objects ?? []).flatMap(([id, service, backends]) => [
            `[services.${JSON.stringify(id)}]`,
            stringifyToml(service),
            ...(backends ?? []).flatMap(([backendId, backend]) => {
              const { pulse, ...rest } = backend
              const header = `services.${JSON.stringify(id)}.backends.${JSON.stringify(backendId)}`
              return [
                `[${header}]`,
                stringifyToml(rest),
                ...(pulse === undefined ? [] : [`[${header}.pulse]`, stringifyToml(pulse)]),
              ]
            }),
          ]),
        ].join('\n')
        const expected = {
          ok: true,
          options,
          services: (objects ?? []).map(([id, options, backends = []]) => ({
            id,
            options,
            backends: backends.map(([id, options]) => ({ id, options })),
          })),
        }
        for (const [format, text] of [
          ['json', json],
          ['yaml', stringifyYaml(maps)],
          ['toml', toml],
        ] as const) {
          expect(parseConfig(text, format, format), text).toMatchObject(expected)
        }
      }),
      { numRuns: 200 },
    )
  })

  it('may be empty, and may share parts by anchors', () => {
    expect(parseConfig('', 'yaml', 'f')).toMatchObject({ ok: true, options: {}, services: [] })
    expect(parseConfig('# nothing\n', 'toml', 'f')).toMatchObject({ ok: true, options: {}, services: [] })
    const text = lines(
      'services:',
      '  a:',
      '    host: 10.0.0.1',
      '    port: 80',
      '    backends:',
      '      x: { host: 10.1.0.1, port: 80, pulse: &fast { interval: 1s } }',
      '      y: { host: 10.1.0.2, port: 80, pulse: *fast }',
    )
    const result = parseConfig(text, 'yaml', 'f')
    expect(result.ok && result.services[0]?.backends.map(({ options }) => options.pulse)).toEqual([
      { interval: '1s' },
      { interval: '1s' },
    ])
  })
})

describe('a configuration with mistakes', () => {
  it('names all of them at once, each with its place, its line and a caret', () => {
    const text = lines(
      'listen: 4672',
      'plan: userspace',
      'services:',
      '  web:',
      '    host: 10.0.0.1',
      '    port: 80',
      '    wieght: 3',
      '    backends:',
      '      one: { host: 10.1.0.1, port: 80, weight: -5 }',
    )
    expect(errorsOf(text)).toBe(
      [
        'torb.yaml:1:9: listen must be a string, not a number',
        '  1 | listen: 4672',
        '    |         ^',
        'torb.yaml:2:1: unknown field "plan" (did you mean "plane"?)',
        '  2 | plan: userspace',
        '    | ^',
        'torb.yaml:7:5: unknown field "wieght": allowed are host, port, protocol, method, flags, persistent, fallback, fwmark, persistence, proxy_protocol, drain, plane, attach, ovn, http, backends',
        '  7 |     wieght: 3',
        '    |     ^',
        'torb.yaml:9:48: weight must be a whole number from 0 to 2147483647',
        '  9 |       one: { host: 10.1.0.1, port: 80, weight: -5 }',
        '    |                                                ^',
      ].join('\n'),
    )
  })

  it.each<[string, Format, string, string]>([
    [
      'yaml scheduler',
      'yaml',
      'services: {a: {host: h, port: 1, method: best}}',
      ':1:42: method "best" is not a scheduler',
    ],
    [
      'yaml forwarding',
      'yaml',
      'services:\n  a: {host: h, port: 1, backends: {b: {host: h, port: 1, method: x}}}',
      ':2:66: specified forwarding',
    ],
    ['missing port', 'yaml', 'services:\n  a: {host: h}\n', ':2:3: endpoint information is missing'],
    [
      'interval',
      'yaml',
      'services:\n  a: {host: h, port: 1, backends: {b: {host: h, port: 1, pulse: {interval: 5x}}}}',
      ':2:76: invalid interval',
    ],
    ['twice', 'yaml', 'flush: true\nflush: false\n', ':2:1: Map keys must be unique'],
    ['tab', 'yaml', 'services:\n\ta: 1\n', ':2:1: Tabs are not allowed'],
    ['unended', 'yaml', 'listen: "abc\n', ':2:1: Missing closing'],
    ['tag', 'yaml', 'listen: !!js/function "x"\n', ':1:9: Unresolved tag'],
    ['two documents', 'yaml', 'flush: true\n---\nflush: true\n', ':2:1: '],
    ['a list', 'yaml', '- a\n', ':1:1: the configuration must be an object, not an array'],
    ['json twice', 'json', '{"flush": true,\n "flush": false}', ':2:2: the key "flush" stands twice'],
    ['json comma', 'json', '{"flush": true,}', ':1:16: a key in double quotes is missing'],
    ['json comment', 'json', '{"flush": true} // yes', ':1:17: the text goes on after the value'],
    ['json empty', 'json', '', ':1:1: no value'],
    ['json unquoted', 'json', '{flush: true}', ':1:2: a key in double quotes is missing'],
    ['json number', 'json', '{"tcp_timeout": 1.5}', ':1:17: tcp_timeout must be a whole number'],
    ['json proto', 'json', '{"__proto__": {}}', ':1:2: unknown field "__proto__"'],
    [
      'json service of that name',
      'json',
      '{"services": {"__proto__": {"host": "h", "port": 1}}}',
      ':1:15: "__proto__" cannot be a name',
    ],
    ['toml syntax', 'toml', 'flush = true\nlisten = \n', ':2:10: '],
    ['toml twice', 'toml', 'flush = true\nflush = true\n', ':2:'],
    ['toml type', 'toml', '# first\nflush = "yes"\n', ':2:9: flush must be a boolean, not a string'],
    [
      'toml table',
      'toml',
      '[services.a]\nhost = "h"\nport = 80\n[services.a.backends."x y"]\nhost = "h"\nport = 8000000\n',
      ':6:8: port must be at most 65535',
    ],
    [
      'toml unknown',
      'toml',
      '[services.a]\nhost = "h"\nport = 80\nbackends.b = { host = "h", port = 1, wait = 3 }\n',
      ':4:38: unknown field "wait"',
    ],
    ['toml array', 'toml', 'host_names = [\n  "a", # one\n  """b\n""", 5,\n]\n', ':4:6: 1'],
    ['toml services', 'toml', '[[services]]\nhost = "h"\n', ':1:3: services must be an object, not an array'],
    ['toml date', 'toml', 'listen = 2026-01-01\n', ':1:10: listen must be a string'],
  ])('%s', (_, format, text, expected) => {
    expect(errorsOf(text, format).replace(/:4:6: \S+/, ':4:6: 1')).toContain(`torb.${format}${expected}`)
  })

  it('is answered politely however it is nested or referred to', () => {
    const deep = 100_000
    expect(errorsOf('['.repeat(deep), 'json')).toContain('nested deeper than 32 levels')
    expect(errorsOf(`listen: ${'['.repeat(300)}${']'.repeat(300)}`)).toContain('nested deeper than 32 levels')
    expect(errorsOf('- '.repeat(5000))).not.toBe('')
    expect(errorsOf(`listen = ${'['.repeat(deep)}`, 'toml')).not.toBe('')
    const bomb = Array.from(
      { length: 30 },
      (_, i) =>
        `l${i}: &l${i} [${
          i === 0
            ? '1'
            : Array(9)
                .fill(`*l${i - 1}`)
                .join(',')
        }]`,
    )
    expect(errorsOf(lines(...bomb))).not.toBe('')
    expect(errorsOf('a: &a [*a]\n')).not.toBe('')
    expect(errorsOf('services: &s\n  x: { host: h, port: 1, backends: *s }\n')).not.toBe('')
  })

  it('never throws, whatever the text', () => {
    const fragment = fc.constantFrom(
      'services',
      ':',
      '=',
      '\n',
      ' ',
      '{',
      '}',
      '[',
      ']',
      '"',
      "'",
      ',',
      '&a ',
      '*a',
      '- ',
      '#',
      '1',
      '"""',
      '\t',
      '.',
      '!!x ',
      '\\',
      '\u0000',
    )
    fc.assert(
      fc.property(fc.array(fc.oneof(fragment, fc.string({ maxLength: 3 })), { maxLength: 30 }), (parts) => {
        for (const format of ['yaml', 'json', 'toml'] as const) {
          const result = parseConfig(parts.join(''), format, 'f')
          if (!result.ok) expect(result.errors.every((error) => error.startsWith('f:'))).toBe(true)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('shows at most 20 errors and only a part of a long line, without control characters', () => {
    const many = errorsOf(lines(...Array.from({ length: 50 }, (_, i) => `unknown${i}: 1`)))
    expect(many.match(/unknown field/g)).toHaveLength(20)
    expect(many).toContain('and 30 more errors')
    const long = errorsOf(
      `{"listen": "${'x'.repeat(5000)}\\u001b", "flush": 1, "data": "${'y'.repeat(5000)}\u007f"}`,
      'json',
    )
    expect(long.split('\n').every((line) => line.length < 120)).toBe(true)
    expect(long.split('\n')[1]?.indexOf('1, "data"')).toBe(long.split('\n')[2]?.indexOf('^'))
    expect(errorsOf('flush: "\u{1f600}\u001b[31m"\n')).not.toContain('\u001b')
  })
})
