import { execFile } from 'node:child_process'
import { copyFileSync, mkdtempDisposableSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { buildDeb, sourceTime } from '../deb.ts'

const dockerfile = fileURLToPath(new URL('Dockerfile', import.meta.url))

export interface ImageOptions {
  /** Name of the image. */
  readonly tag: string
  /** Image that it stands on; that of the Dockerfile where absent. */
  readonly base?: string | undefined
  /** Debian package of Torb. */
  readonly deb: string
  /** Runs `docker ARGS`. */
  readonly docker: (...args: readonly string[]) => Promise<unknown>
}

/** Makes an image of a Debian package of Torb. */
export async function buildImage({ tag, base, deb, docker }: ImageOptions): Promise<void> {
  // The context holds nothing else, since all of it is sent to the engine.
  using context = mkdtempDisposableSync(join(tmpdir(), 'torb-image-'))
  copyFileSync(deb, join(context.path, basename(deb)))
  await docker(
    'build',
    '--file',
    dockerfile,
    '--tag',
    tag,
    ...(base === undefined ? [] : ['--build-arg', `BASE=${base}`]),
    context.path,
  )
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { tag: { type: 'string', default: 'torb' }, base: { type: 'string' } },
  })
  const run = promisify(execFile)
  try {
    using place = mkdtempDisposableSync(join(tmpdir(), 'torb-image-'))
    await buildImage({
      ...values,
      deb: await buildDeb({ to: place.path, epoch: sourceTime(), quick: true }),
      docker: (...args) => run('docker', args, { env: { ...process.env, DOCKER_BUILDKIT: '1' } }),
    })
    console.log(
      `image ${values.tag}: docker run --rm --name torb --privileged --net=host -it ${values.tag} -f -i IFACE`,
    )
  } catch (error) {
    console.error(`package:image: ${(error as Error).message}`)
    process.exitCode = 1
  }
}

if (import.meta.main) await main()
