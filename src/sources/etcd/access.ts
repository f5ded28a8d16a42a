import { readFile } from 'node:fs/promises'
import type { SecureContextOptions } from 'node:tls'

/** Where etcd is, and as whom to come. */
export interface EtcdAccess {
  /** `host:port` or URLs, of any members of one cluster. */
  readonly endpoints: readonly string[]
  readonly user?: string | undefined
  readonly password?: string | undefined
  /** Holds the password; read anew at each connection, as all files are. */
  readonly passwordFile?: string | undefined
  /** PEM files: the authority of etcd's certificates, and a certificate with its key to show to etcd. */
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
}

/** The endpoints of a text with blanks or commas between them, as in eb_go_lb_etcd_host; '' names none: there is no etcd. */
export function splitEndpoints(text: string): string[] {
  return text.split(/[\s,]+/).filter((part) => part !== '')
}

/**
 * The URLs of the endpoints; one without a scheme is https where there is a certificate or an authority, else http.
 *
 * @throws Error that names what is wrong
 */
export function endpointUrls({ endpoints, user, password, passwordFile, ca, cert, key }: EtcdAccess): URL[] {
  if ((cert === undefined) !== (key === undefined))
    throw new Error('a certificate for etcd needs its key, and a key its certificate: give both')
  if (user === undefined && (password !== undefined || passwordFile !== undefined))
    throw new Error('the password for etcd needs a user: give its name')
  if (user !== undefined && password === undefined && passwordFile === undefined)
    throw new Error(`the etcd user "${user}" needs a password: give its file, or TORB_ETCD_PASSWORD`)
  const scheme = ca === undefined && cert === undefined ? 'http' : 'https'
  return endpoints.map((text) => {
    const url = URL.parse(text.includes('://') ? text : `${scheme}://${text}`)
    const isPlain =
      url !== null &&
      /^https?:$/.test(url.protocol) &&
      /^\/?$/.test(url.pathname) &&
      `${url.username}${url.password}${url.search}${url.hash}` === ''
    if (!isPlain) {
      const shown = text.replace(/^(\w+:\/\/)?.*@/, '$1…@')
      throw new Error(
        `"${shown}" is no endpoint of etcd: write host:port or https://host:port, the user apart from it`,
      )
    }
    if (url.port === '' && !/:\d+\/?$/.test(text)) url.port = '2379'
    return url
  })
}

/** What is in the files. @throws Error that names the file */
export async function readSecrets(
  access: EtcdAccess,
): Promise<{ readonly tls: SecureContextOptions; readonly password: string }> {
  const read = async (file: string): Promise<string> => {
    try {
      return await readFile(file, 'utf8')
    } catch (error) {
      const cause = error instanceof Error ? error.message : String(error)
      throw new Error(`${file} for etcd cannot be read: ${cause}`, { cause: error })
    }
  }
  const tls: SecureContextOptions = {}
  for (const name of ['ca', 'cert', 'key'] as const) {
    const file = access[name]
    if (file !== undefined) tls[name] = await read(file)
  }
  const { password, passwordFile } = access
  return { tls, password: password ?? (passwordFile === undefined ? '' : (await read(passwordFile)).trim()) }
}
