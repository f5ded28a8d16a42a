import { globSync, mkdtempDisposableSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { installDebianRoot } from '../../lab/debianRoot.ts'
import { Docker, dockerMissing, installDocker } from '../../lab/docker.ts'
import { Network } from '../../lab/namespaces.ts'
import { buildDeb } from '../../packaging/deb.ts'
import { buildImage } from '../../packaging/image/build.ts'
import { capabilityMask } from '../fixtures/unit.ts'
import type { HttpActor } from './packaging.actor.ts'
import { until } from '../../lab/until.ts'

const missing = engineMissing()
if (missing !== null) console.log(`skipped: the image: ${missing}`)

function engineMissing(): string | null {
  const without = dockerMissing()
  if (without !== null) return without
  try {
    installDocker()
    installDebianRoot()
    return null
  } catch (error) {
    return (error as Error).message
  }
}

describe.skipIf(missing !== null)('the image, in a Docker engine whose host is a namespace', () => {
  const stop = new AsyncDisposableStack()
  let docker: Docker
  let director: HttpActor
  let outside: HttpActor

  beforeAll(async () => {
    const place = stop.use(mkdtempDisposableSync(join(tmpdir(), 'torb-imagetest-')))
    const deb = await buildDeb({ to: place.path, epoch: 1_700_000_000, quick: true })
    const network = await Network.create({
      bridges: { enp0s3: ['10.0.2.15/24'] },
      local: [],
      members: { outside: { bridge: 'enp0s3', addresses: ['10.0.2.2/24'] } },
    })
    stop.defer(() => network.close())
    docker = stop.use(await Docker.start(network.hub.name))
    // No registry is asked: the base is made of Debian's packages.
    await docker.run('import', installDebianRoot(), 'debian-root')
    await buildImage({ tag: 'torb', base: 'debian-root', deb, docker: (...args) => docker.run(...args) })
    const client = new URL('packaging.actor.ts', import.meta.url)
    director = await network.hub.actor<HttpActor>(client)
    outside = await network.member('outside').actor<HttpActor>(client)
  })

  afterAll(async () => {
    await stop.disposeAsync()
    expect(globSync(`/sys/fs/cgroup/{,*/}torb-docker-${process.pid}`)).toEqual([])
  })

  it('is the command torb serve', async () => {
    expect(await docker.run('image', 'inspect', '--format', '{{json .Config.Entrypoint}}', 'torb')).toBe(
      '["torb","serve"]',
    )
  })

  it('runs under systemd itself as the unit says: sandbox, user, capabilities, reload, stop', async () => {
    // systemd is in this base; a container with it is an installed machine.
    await docker.run(
      ...'run -d --tty --name machine --privileged --cgroupns=host --tmpfs /run --tmpfs /run/lock'.split(' '),
      ...'--env container=docker --entrypoint /lib/systemd/systemd torb'.split(' '),
    )
    const inside = (...command: readonly string[]): Promise<string> =>
      docker.run('exec', 'machine', 'sh', '-c', command.join(' '))
    const done = (...command: readonly string[]): Promise<boolean> =>
      inside(...command).then(
        () => true,
        () => false,
      )
    await until(() => done('systemctl start torb'))
    await until(() => done('torb services --token-file /var/lib/torb/token'))
    const pid = await inside('systemctl show --property MainPID --value torb')
    const status = await inside(`cat /proc/${pid}/status`)
    const field = (name: string): string | undefined =>
      new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)?.[1]
    const wanted = capabilityMask(['CAP_NET_ADMIN', 'CAP_NET_BIND_SERVICE'])
    expect(['CapEff', 'CapPrm', 'CapInh', 'CapAmb', 'CapBnd'].map(field)).toEqual(Array(5).fill(wanted))
    expect([field('Uid'), field('NoNewPrivs')]).toEqual([await inside('id -u torb'), '1'])

    await inside(`printf 'services: { web: { host: 127.0.0.1, port: 80 } }\\n' >>/etc/torb/torb.yaml`)
    await inside('systemctl reload torb')
    await until(async () =>
      (await inside('torb services --token-file /var/lib/torb/token')).includes('127.0.0.1:80'),
    )
    expect(await inside('systemctl show --property MainPID --value torb')).toBe(pid)
    await inside('systemctl stop torb')
    expect(await inside('systemctl show --property Result --property ExecMainStatus torb')).toBe(
      'Result=success\nExecMainStatus=0',
    )
    await docker.run('rm', '--force', 'machine')
  })

  it('runs the gateway as the Kubernetes manifest does: its user, no capability, a read-only root', async () => {
    const [, config, daemonSet] = parseAllDocuments(
      readFileSync(new URL('../../packaging/kubernetes/daemonset.yaml', import.meta.url), 'utf8'),
    ).map((document) => document.toJS() as unknown) as [unknown, ConfigMap, DaemonSet]
    const { containers, securityContext } = daemonSet.spec.template.spec
    const user = `${securityContext.runAsUser}:${securityContext.runAsGroup}`
    // Where emptyDir is, tmpfs stands; there is no etcd.
    const environment = { ...config.data, eb_go_lb_etcd_host: '', eb_go_lb_node_name: 'node-7' }
    const [program = '', ...args] = containers[0].command
    await docker.run(
      ...`run -d --name gateway --net=host --read-only --cap-drop=ALL --user=${user}`.split(' '),
      ...`--security-opt no-new-privileges --tmpfs /tmp --tmpfs /var/lib/torb:mode=0700,uid=${securityContext.runAsUser}`.split(
        ' ',
      ),
      ...Object.entries(environment).map(([name, value]) => `--env=${name}=${value}`),
      `--entrypoint=${program}`,
      'torb',
      ...args,
    )
    await docker.run(
      ...'run -d --name instance --net=host --entrypoint torb torb server --port 4445'.split(' '),
    )
    await until(async () => (await docker.run('logs', 'gateway')).includes('torb ready'))
    await until(async () => (await docker.run('logs', 'instance')) !== '')
    const put = { ips: ['127.0.0.1:4445'], weights: [1] }
    expect(await director.request('http://localhost:4672/functions/f', 'PUT', put)).toMatchObject({
      status: 200,
    })
    for (const client of [director, outside]) {
      const answer = await client.request('http://10.0.2.15:8080/function/f/doWork')
      expect(answer).toMatchObject({ status: 200 })
      expect(await client.request('http://10.0.2.15:8080/function/g')).toMatchObject({
        status: 404,
        body: expect.stringContaining(`- in ${config.data['eb_go_lb_zone']}`),
      })
    }
    await docker.run('stop', 'gateway')
    expect(await docker.run('inspect', '--format', '{{.State.ExitCode}}', 'gateway')).toBe('0')
    await docker.run('rm', '--force', 'gateway', 'instance')
  })

  it("runs by the tutorial's line and balances over the tutorial's containers", async () => {
    const server = async (name: string): Promise<void> => {
      await docker.run(
        ...'run -d --name'.split(' '),
        name,
        ...'--entrypoint torb torb server --work 5ms'.split(' '),
      )
    }
    await server('server1')
    await server('server2')
    // What it was made of takes no room in it.
    const left = await docker.run(...'exec server1 find / -xdev -name torb_*.deb'.split(' '))
    expect(left).toBe('')
    const address = (name: string): Promise<string> =>
      docker.run('inspect', '--format', '{{.NetworkSettings.IPAddress}}', name)
    expect([await address('server1'), await address('server2')]).toEqual(['172.17.0.2', '172.17.0.3'])

    // Only -d is added: there is no terminal here.
    await docker.run(...'run --rm --name gorb --privileged --net=host -it -d torb -f -i enp0s3'.split(' '))
    await until(async () => (await docker.run('logs', 'gorb')).includes('torb ready'))
    const api = 'http://10.0.2.15:4672'
    const service = { host: '10.0.2.15', port: 4444, protocol: 'tcp', method: 'rr', persistent: true }
    expect(await director.request(`${api}/service/0`, 'PUT', service)).toMatchObject({ status: 200 })
    const backend = (host: string): object => ({ host, port: 4444, method: 'nat', weight: 100 })
    const local = 'http://localhost:4672/service/0'
    expect(await director.request(`${local}/0`, 'PUT', backend('172.17.0.2'))).toMatchObject({ status: 200 })
    expect(await director.request(`${local}/1`, 'PUT', backend('172.17.0.3'))).toMatchObject({ status: 200 })
    // Another machine of the network is no local client.
    expect(await outside.request(`${api}/service/0`)).toMatchObject({ status: 401 })

    for (const client of [director, outside]) {
      for (let i = 0; i < 6; i++) {
        expect(await client.request('http://10.0.2.15:4444/doWork')).toMatchObject({ status: 200 })
      }
    }
    const worked = async (name: string): Promise<number> =>
      [...(await docker.run('logs', name)).matchAll(/answered|sent/gi)].length
    await until(async () => (await worked('server1')) + (await worked('server2')) >= 12)
    expect([await worked('server1'), await worked('server2')]).toEqual([6, 6])
  })

  it('ends in order when it is stopped, and nothing of it remains', async () => {
    const waited = docker.run('wait', 'gorb')
    await docker.run('stop', 'gorb')
    expect(await waited).toBe('0')
    await docker.run('rm', '--force', 'server1', 'server2')
    await until(async () => (await docker.run('ps', '--all', '--quiet')) === '')
    await expect(director.request('http://10.0.2.15:4672/healthz')).rejects.toThrow(/ECONNREFUSED/)
  })
})

interface ConfigMap {
  readonly data: Readonly<Record<string, string>>
}

interface DaemonSet {
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly securityContext: { readonly runAsUser: number; readonly runAsGroup: number }
        readonly containers: readonly [{ readonly command: readonly string[] }]
      }
    }
  }
}
