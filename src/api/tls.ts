import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { DaemonOptions } from '../model/daemon.ts'

/** What a TLS server is made with, PEM. */
export interface Tls {
  readonly cert: Buffer
  readonly key: Buffer
  /** Whose client certificates are believed; undefined: nobody's. */
  readonly ca: Buffer | undefined
}

/**
 * Reads the certificates of the API and looks at them, since OpenSSL's own words name neither file nor cure.
 *
 * @returns null without TLS @throws Error that names the file, the cause and the flag
 */
export async function readTls(options: DaemonOptions): Promise<Tls | null> {
  const { tls_cert: certFile, tls_key: keyFile, tls_client_ca: caFile } = options
  if (certFile === undefined || keyFile === undefined) {
    if (certFile === keyFile && caFile === undefined) return null
    throw new Error('TLS needs a certificate and its key: give both --tls-cert and --tls-key')
  }
  const cert = await readPem(certFile, '--tls-cert', 'certificate', certificate)
  const key = await readPem(keyFile, '--tls-key', 'private key', createPrivateKey)
  if (!cert.first.checkPrivateKey(key.first))
    throw new Error(
      `the key in ${keyFile} is not that of the certificate in ${certFile}: see --tls-key and --tls-cert`,
    )
  const ca =
    caFile === undefined ? undefined : await readPem(caFile, '--tls-client-ca', 'certificate', certificate)
  return { cert: cert.pem, key: key.pem, ca: ca?.pem }
}

const certificate = (pem: Buffer): X509Certificate => new X509Certificate(pem)

async function readPem<T>(
  file: string,
  flag: string,
  what: string,
  firstOf: (pem: Buffer) => T,
): Promise<{ readonly pem: Buffer; readonly first: T }> {
  const pem = await readFile(file).catch((error: Error) => {
    throw new Error(`cannot read ${file}: ${error.message}; see ${flag}`, { cause: error })
  })
  try {
    return { pem, first: firstOf(pem) }
  } catch (error) {
    throw new Error(
      `${file} holds no ${what} that can be used (${(error as Error).message}): name one in PEM, without a passphrase, with ${flag}`,
      { cause: error },
    )
  }
}
