import { defineCommand } from './command.ts'
import { exit } from './exit.ts'
import { renderPlanes, type Planes } from './planesView.ts'
import { apiEnvironment, apiExit, apiFlags, restOf } from './rest.ts'

export const planes = defineCommand({
  page: {
    synopsis: ['torb planes [--json]'],
    description: [
      'Shows the data planes: how many services each carries and how many it refuses now, what else it tells of itself, and the entries in it that somebody else made, which Torb leaves alone. Below them come the announcers, who tell others of the services, such as Consul. --json has also what each plane can do.',
    ],
    examples: [
      ['torb planes', 'who carries the traffic, and how well'],
      ['torb planes --json', 'the same for a program'],
    ],
    exit: [[exit.ok, 'shown'], ...apiExit],
    environment: apiEnvironment,
    see: ['torb services', 'torb doctor'],
  },
  flags: apiFlags,
  operands: { min: 0, max: 0, name: '' },

  async run({ flags, io }) {
    const found = (await restOf(flags, io).request('GET', '/plane')) as Planes
    io.out(
      flags.json ? `${JSON.stringify(found, null, 2)}\n` : `${renderPlanes(found, io.colour).join('\n')}\n`,
    )
    return exit.ok
  },
})
