import { describe, expect, it } from 'vitest'
import { choosePlanes } from './choose.ts'

const ovn_nb = ['unix:/nowhere/ovnnb_db.sock']

function log() {
  const warned: string[] = []
  return { info: () => undefined, warn: (_: object, text: string) => void warned.push(text), warned }
}

describe('the planes that are to be opened', () => {
  it('are the default one, those that the options name, also where they may come later, and userspace', async () => {
    const told = log()
    const planes = await choosePlanes({ plane: 'userspace', ovn_nb }, new Set(), told)
    expect([...planes.keys()]).toEqual(['userspace', 'ovn'])
    expect(told.warned).toEqual([])
  })

  it('are no default one that is missing', async () => {
    await expect(choosePlanes({ plane: 'ovn', ovn_nb }, new Set(), log())).rejects.toThrow(
      'the ovn plane cannot be had here: there is no northbound database of OVN at unix:/nowhere/ovnnb_db.sock',
    )
  })
})
