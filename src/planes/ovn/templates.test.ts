import { describe, expect, it } from 'vitest'
import { plainService } from '../plain.ts'
import { templateAdvice } from './templates.ts'

const chassis = (...names: readonly string[]) =>
  names.map((name) => ({ name, hostname: `${name}.example.net` }))
const unknown = (name: string): string =>
  `template of service web has an address for chassis ${name}, which is not there, and that has no effect until it is; `

describe('advice on chassis of a template', () => {
  it.each<
    [what: string, asked: readonly string[], there: ReturnType<typeof chassis>, said: readonly string[]]
  >([
    ['says nothing of those that are there', ['hv1', 'hv2'], chassis('hv1', 'hv2', 'hv3'), []],
    ['says nothing where there is no template', [], chassis('hv1'), []],
    [
      'names each that is not there, and those that are',
      ['hv1', 'rack-7', 'edge'],
      chassis('hv2', 'hv1'),
      [`${unknown('rack-7')}OVN has hv1, hv2`, `${unknown('edge')}OVN has hv1, hv2`],
    ],
    [
      'names what may have been meant first',
      ['compute-11'],
      chassis('compute-1', 'gateway'),
      [`${unknown('compute-11')}did you mean compute-1? OVN has compute-1, gateway`],
    ],
    [
      'tells a host name from the name of a chassis',
      ['hv2.example.net'],
      chassis('hv1', 'hv2'),
      [`${unknown('hv2.example.net')}that is the host name of chassis hv2: name it so`],
    ],
    ['says so where there is none', ['hv1'], [], [`${unknown('hv1')}OVN has none yet`]],
    [
      'names no more than a line holds',
      ['other'],
      chassis('c6', 'c5', 'c4', 'c3', 'c2', 'c1'),
      [`${unknown('other')}OVN has c1, c2, c3, c4, c5 and others`],
    ],
  ])('%s', (_, asked, there, said) => {
    const template = Object.fromEntries(asked.map((name) => [name, '10.0.2.9']))
    const ovn = asked.length === 0 ? {} : { template }
    expect(templateAdvice(plainService({ ovn }), there)).toEqual(said)
  })
})
