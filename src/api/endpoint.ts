import { familyOf } from '../model/address.ts'

/** `HOST:PORT`, `[IPV6]:PORT` or `:PORT`; null where it is neither. The host is '' in the last case. */
export function parseEndpoint(text: string): { readonly host: string; readonly port: number } | null {
  const parts = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text)
  const port = Number(parts?.[3])
  if (parts === null || port > 65_535) return null
  const [, bracketed, plain = ''] = parts
  if (bracketed !== undefined && familyOf(bracketed) !== 6) return null
  return { host: bracketed ?? plain, port }
}
