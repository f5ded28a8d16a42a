import { describe, expect, it } from 'vitest'
import { daemonOptions } from './daemon.ts'

const read = (ovn_nb: unknown): unknown => {
  const result = daemonOptions.safeParse({ ovn_nb })
  return result.success ? result.data.ovn_nb : result.error.issues.map((issue) => issue.message)
}

describe("addresses of OVN's databases", () => {
  it.each<[unknown, readonly string[]]>([
    ['unix:/run/ovn/ovnnb_db.sock', ['unix:/run/ovn/ovnnb_db.sock']],
    ['tcp:10.0.0.1:6641, tcp:10.0.0.2:6641', ['tcp:10.0.0.1:6641', 'tcp:10.0.0.2:6641']],
    [
      ['ssl:nb.example:6641', 'ssl:[2001:db8::1]:6641'],
      ['ssl:nb.example:6641', 'ssl:[2001:db8::1]:6641'],
    ],
    [
      ['tcp:a:1,tcp:b:2', 'tcp:c:65535'],
      ['tcp:a:1', 'tcp:b:2', 'tcp:c:65535'],
    ],
  ])('%j', (given, expected) => expect(read(given)).toEqual(expected))

  it.each([
    ['10.0.0.1:6641'],
    ['tcp:10.0.0.1'],
    ['tcp:10.0.0.1:0'],
    ['tcp:10.0.0.1:65536'],
    ['tcp:2001:db8::1:6641'],
    ['tcp::6641'],
    ['unix:'],
    ['ptcp:6641'],
    [''],
    [','],
    [['tcp:a:1', '']],
    [[]],
  ])('%j is refused with the forms there are', (given) => {
    const said = read(given)
    expect(JSON.stringify(said)).toMatch(/unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT/)
  })
})
