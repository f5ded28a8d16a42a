import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { listeningApi, testToken, type ListeningApi } from '../../test/fixtures/api.ts'

const missing = (() => {
  try {
    execFileSync('openssl', ['version'])
    return ''
  } catch (error) {
    return String(error)
  }
})()
if (missing !== '')
  console.warn(`skipped: TLS and client certificates, as openssl makes them here (${missing})`)

let directory: string
const file = (name: string) => join(directory, name)
const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: directory, stdio: 'pipe' })
const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

function authority(name: string): void {
  openssl(
    'req',
    '-x509',
    ...ec,
    '-keyout',
    `${name}.key`,
    '-out',
    `${name}.crt`,
    '-days',
    '2',
    '-subj',
    `/CN=${name}`,
  )
}

function signed(name: string, by: string): void {
  openssl('req', ...ec, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`)
  openssl(
    'x509',
    '-req',
    '-in',
    `${name}.csr`,
    '-CA',
    `${by}.crt`,
    '-CAkey',
    `${by}.key`,
    '-CAcreateserial',
    '-out',
    `${name}.crt`,
    '-days',
    '2',
  )
}

describe.skipIf(missing !== '')('TLS', () => {
  let rig: ListeningApi
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'torb-tls-'))
    authority('ca')
    authority('other')
    signed('server', 'ca')
    signed('client', 'ca')
    signed('stranger', 'other')
    rig = await listeningApi({
      local_trust: 'none',
      tls_cert: file('server.crt'),
      tls_key: file('server.key'),
      tls_client_ca: file('ca.crt'),
    })
  })
  afterAll(async () => {
    await rig[Symbol.asyncDispose]()
    await rm(directory, { recursive: true })
  })

  const status = (certificate: string | null, headers: Record<string, string> = {}) =>
    new Promise<number>((resolve, reject) => {
      const given =
        certificate === null
          ? {}
          : { cert: readFileSync(file(`${certificate}.crt`)), key: readFileSync(file(`${certificate}.key`)) }
      const options = {
        ...given,
        ca: readFileSync(file('ca.crt')),
        servername: 'server',
        checkServerIdentity: () => undefined,
        headers,
        agent: false as const,
      }
      request(`${rig.api.url}/service`, options, (response) => {
        response.resume()
        resolve(response.statusCode ?? 0)
      })
        .on('error', reject)
        .end()
    })

  it('shows its own certificate and says so in its address', () => {
    expect(rig.api.url).toMatch(/^https:\/\/127\.0\.0\.1:/)
  })

  it('a certificate of the authority stands instead of the token', async () => {
    expect(await status('client')).toBe(200)
    expect(await status(null, { authorization: `Bearer ${testToken}` })).toBe(200)
  })

  it('one of another authority, or none, does not', async () => {
    expect(await status('stranger')).toBe(401)
    expect(await status('other')).toBe(401)
    expect(await status(null)).toBe(401)
  })

  it.each([
    [{ tls_cert: 'server.key' }, /server\.key holds no certificate that can be used \(.+\): .* --tls-cert$/],
    [{ tls_key: 'server.crt' }, /server\.crt holds no private key that can be used \(.+\): .* --tls-key$/],
    [
      { tls_key: 'other.key' },
      /the key in \S+other\.key is not that of the certificate in \S+server\.crt: see/,
    ],
    [{ tls_client_ca: 'ca.key' }, /ca\.key holds no certificate that .* --tls-client-ca$/],
    [{ tls_cert: 'absent' }, /cannot read \S+absent: ENOENT.*; see --tls-cert$/],
  ])('says of %j what is wrong with it', async (wrong, sentence) => {
    const files = { tls_cert: 'server.crt', tls_key: 'server.key', tls_client_ca: 'ca.crt', ...wrong }
    const options = Object.fromEntries(Object.entries(files).map(([key, name]) => [key, file(name)]))
    await expect(listeningApi(options)).rejects.toThrow(sentence)
  })

  it('plain HTTP gets nothing', async () => {
    await expect(fetch(`http://127.0.0.1:${rig.api.port}/healthz`)).rejects.toThrow('fetch failed')
  })
})
