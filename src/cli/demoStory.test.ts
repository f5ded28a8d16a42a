import { describe, expect, it } from 'vitest'
import { judge, type Look, type Round } from './demoStory.ts'

/** A look each 200 ms: rr over those that are Up, the victim Down from `downAt` to `upAt`, regaining weight. */
function looks({ downAt = 7900, upAt = 13_900, endedAt = 20_000 } = {}): Look[] {
  const handled = [0, 0, 0]
  const list: Look[] = []
  for (let at = 0; at <= endedAt; at += 200) {
    const out = at >= downAt && at < upAt
    const dead = at >= 7000 && at < 13_000
    handled.forEach((_, i) => {
      if (i !== 1 || !(out || dead)) handled[i]!++
    })
    list.push({
      at,
      backends: ['server1', 'server2', 'server3'].map((id, i) => ({
        id,
        up: i !== 1 || !out,
        effectiveWeight:
          i !== 1 ? 100 : out ? 0 : at < downAt ? 100 : Math.min(100, 60 + Math.floor((at - upAt) / 100)),
        handled: handled[i] ?? 0,
      })),
    })
  }
  return list
}

const good: Round = {
  startedAt: 0,
  stoppedAt: 7000,
  returnedAt: 13_000,
  endedAt: 20_000,
  victim: 'server2',
  pulseMs: 1000,
  looks: looks(),
  failures: [{ sentAt: 7100, reason: 'ECONNRESET' }],
}

const failing = (round: Partial<Round>): string[] =>
  judge({ ...good, ...round })
    .filter(({ ok }) => !ok)
    .map(({ criterion }) => criterion)

it('passes a round in which all behaved', () => {
  expect(judge(good).map(({ ok, found }) => `${ok} ${found}`)).toEqual([
    'true 35, 34, 35 requests',
    'true seen after 1.0 s',
    'true 1 on their way failed, 0 others (ECONNRESET)',
    'true seen after 1.0 s',
    expect.stringMatching(/^true weight 61 63 .* 100, \d+ requests$/),
  ])
})

describe('fails a round', () => {
  const edit = (change: (look: Look) => Look): Look[] => good.looks.map(change)
  const withVictim = (fields: object, when: (at: number) => boolean): Look[] =>
    edit((look) => ({
      ...look,
      backends: look.backends.map((backend) =>
        backend.id === 'server2' && when(look.at) ? { ...backend, ...fields } : backend,
      ),
    }))

  it.each<[string, Partial<Round>, string[]]>([
    [
      'one server gets more',
      { looks: withVictim({ handled: 0 }, (at) => at < 7100) },
      ['all servers get the same share'],
    ],
    [
      'nobody gets anything',
      { looks: [] },
      [
        'all servers get the same share',
        'the stopped server is Down within its interval',
        'the server that came back is Up within its interval',
        'it regains weight and answers requests',
      ],
    ],
    ['Down late', { looks: looks({ downAt: 10_400 }) }, ['the stopped server is Down within its interval']],
    ['Up late', { looks: looks({ upAt: 16_400 }) }, ['the server that came back is Up within its interval']],
    [
      'never Up',
      { looks: looks({ upAt: 99_000 }) },
      ['the server that came back is Up within its interval', 'it regains weight and answers requests'],
    ],
    [
      'a request fails while all servers run',
      { failures: [{ sentAt: 3000, reason: 'status 503' }] },
      ['no request fails but those on their way to the stopped server'],
    ],
    [
      'a request fails after the server was found Down',
      { failures: [{ sentAt: 9000, reason: 'ECONNREFUSED' }] },
      ['no request fails but those on their way to the stopped server'],
    ],
    [
      'it loses weight again',
      { looks: withVictim({ effectiveWeight: 10 }, (at) => at > 18_000) },
      ['it regains weight and answers requests'],
    ],
    [
      'it answers nothing more',
      { looks: withVictim({ handled: 36 }, (at) => at > 13_000) },
      ['it regains weight and answers requests'],
    ],
  ])('%s', (_, round, criteria) => {
    expect(failing(round)).toEqual(criteria)
  })
})
