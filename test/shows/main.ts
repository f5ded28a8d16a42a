import { styleText } from 'node:util'
import { shows } from './catalogue.ts'

const [name, ...rest] = process.argv.slice(2)
const size = rest.includes('--reduced') ? 'reduced' : 'full'
const wanted = name === 'all' ? Object.keys(shows) : [name ?? '']
if (wanted.some((key) => !Object.hasOwn(shows, key))) {
  process.stderr.write('usage: npm run show NAME [-- --reduced], NAME being all or one of\n')
  for (const [key, { about }] of Object.entries(shows)) process.stderr.write(`  ${key.padEnd(16)} ${about}\n`)
  process.exit(64)
}
for (const key of wanted) {
  const show = shows[key]
  if (show === undefined) continue
  process.stdout.write(`${styleText('bold', key)}: ${show.about}\n`)
  const begin = performance.now()
  const figures = await show.run(size)
  for (const [what, figure] of Object.entries(figures)) process.stdout.write(`  ${what}: ${figure}\n`)
  process.stdout.write(`  held, in ${((performance.now() - begin) / 1000).toFixed(1)} s\n`)
}
