import { randomBytes } from 'node:crypto'
import { link, mkdir, open, readFile, stat, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'

export interface Token {
  readonly value: string
  /** Where a client finds it, for messages: a path, or `the environment variable TORB_TOKEN`. */
  readonly place: string
  /** What the operator should know, such as a file that others can read; '' else. */
  readonly warning: string
}

/**
 * The API token: TORB_TOKEN where set, else the file's content, made at the first start with mode 0600.
 *
 * @throws Error that names the file, the cause and the cure
 */
export async function loadToken(file: string, environment: string | undefined): Promise<Token> {
  if (environment !== undefined) {
    return {
      value: checked(environment, 'TORB_TOKEN'),
      place: 'the environment variable TORB_TOKEN',
      warning: '',
    }
  }
  let value = await read(file)
  if (value === null) {
    await create(file)
    value = await read(file)
  }
  const { mode } = await stat(file)
  const open = (mode & 0o077) !== 0
  return {
    value: checked(value ?? '', file),
    place: file,
    warning: open ? `the token file ${file} can be read by other users: chmod 600 ${file}` : '',
  }
}

async function read(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw new Error(`cannot read the token file ${file}: ${(error as Error).message}; see --token-file`, {
      cause: error,
    })
  }
}

/** Whole or not at all, and never over an existing one: written aside, then linked to its name. */
async function create(file: string): Promise<void> {
  const aside = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    const handle = await open(aside, 'wx', 0o600)
    try {
      await handle.writeFile(`${randomBytes(32).toString('base64url')}\n`)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await link(aside, file)
  } catch (error) {
    // Another start was first: its token counts.
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return
    throw new Error(`cannot make the token file ${file}: ${(error as Error).message}; see --token-file`, {
      cause: error,
    })
  } finally {
    await unlink(aside).catch(() => {})
  }
}

function checked(text: string, place: string): string {
  const value = text.trim()
  // RFC 6750 §2.1: b64token, widened to all that a header can carry.
  if (/^[\x21-\x7e]+$/.test(value)) return value
  throw new Error(
    `${place} holds no usable token: put one line of visible ASCII characters there, or remove it to get a new one`,
  )
}
