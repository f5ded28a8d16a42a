import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { listeningApi, testToken } from '../../test/fixtures/api.ts'
import { apiOf, doctor } from './doctor.ts'
import type { Finding } from './finding.ts'
import { runCommand } from '../../test/fixtures/commandLine.ts'

it.each([
  [{}, 'http://127.0.0.1:4672'],
  [{ listen: ':4680' }, 'http://127.0.0.1:4680'],
  [{ listen: '0.0.0.0:4680' }, 'http://127.0.0.1:4680'],
  [{ listen: '[::]:4680' }, 'http://127.0.0.1:4680'],
  [{ listen: '[2001:db8::7]:4680' }, 'http://[2001:db8::7]:4680'],
  [{ listen: 'lb.example:4680', tls_cert: 'lb.pem' }, 'https://lb.example:4680'],
  [{ listen: '127.0.0.1:0' }, null],
])('the API of %o', (options, url) => {
  expect(apiOf(options)).toBe(url)
})

/** Of the findings those of these subjects, else what went to standard error. */
async function findingsOf(yaml: string, subjects: readonly string[], ...more: string[]): Promise<string[]> {
  const directory = mkdtempSync(join(tmpdir(), 'doctor-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const config = join(directory, 'torb.yaml')
  writeFileSync(config, yaml)
  const commands = { doctor: { summary: '', load: () => Promise.resolve(doctor) } }
  const { out, err } = await runCommand(commands, 'doctor', '--json', '--config', config, ...more)
  if (out === '') return [err]
  const { findings } = JSON.parse(out) as { findings: readonly Finding[] }
  return findings
    .filter(({ subject }) => subjects.includes(subject))
    .map(({ level, fact, cure }) => `${level}: ${fact}${cure === '' ? '' : ` → ${cure}`}`)
}

it('takes the token of the daemon from where the configuration file has it', async () => {
  await using rig = await listeningApi({ local_trust: 'none' })
  const directory = mkdtempSync(join(tmpdir(), 'doctor-token-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const token = join(directory, 'token')
  writeFileSync(token, `${testToken}\n`)
  const listen = `listen: "127.0.0.1:${rig.api.port}"\n`
  const asked = [expect.stringMatching(/^ok: the Torb at \S+ runs none/) as string]
  const wanted = [expect.stringMatching(/^note: .* could not be asked → .* wants a token/) as string]
  expect(await findingsOf(`${listen}token_file: ${token}\n`, ['gateway'])).toEqual(asked)
  expect(await findingsOf(`${listen}data: ${directory}\n`, ['gateway'])).toEqual(asked)
  expect(await findingsOf(listen, ['gateway'], '--token-file', token)).toEqual(asked)
  expect(await findingsOf(`${listen}data: ${directory}/none\n`, ['gateway'])).toEqual(wanted)
})

it('asks the Torb and the OVN of the configuration file; flags go before', async () => {
  await using api = await listeningApi()
  const running = expect.stringMatching(`^ok: the Torb at ${api.api.url} runs none`) as string
  const ovn = 'ovn_nb: unix:/nowhere/nb\novn_sb: unix:/nowhere/sb\novn_vswitchd: /nowhere/run\n'
  const lacks = (vswitchd: string): string[] => [
    expect.stringMatching(/^problem: the northbound .* → .*\/nowhere\/nb/) as string,
    expect.stringMatching(/^problem: the southbound .* → .*\/nowhere\/sb/) as string,
    expect.stringMatching(`^note: .* at ${vswitchd} are not seen`) as string,
  ]
  const subjects = ['gateway', 'ovn']
  expect(await findingsOf(`listen: "127.0.0.1:${api.api.port}"\n${ovn}`, subjects)).toEqual([
    running,
    ...lacks('/nowhere/run'),
  ])
  const free = `listen: "127.0.0.1:0"\n${ovn}`
  const flags = ['--api', api.api.url, '--ovn-vswitchd', '/nowhere/else']
  expect(await findingsOf(free, subjects, ...flags)).toEqual([running, ...lacks('/nowhere/else')])
  expect(await findingsOf('listen: "127.0.0.1:0"\n', subjects)).toEqual([])
  expect(await findingsOf('listen: nowhere\n', [])).toEqual([
    expect.stringMatching(
      /^torb doctor: the API cannot listen on "nowhere" .*: give \[HOST\]:PORT/,
    ) as string,
  ])
})
