import { mkdtempDisposableSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { z } from 'zod'
import { get, named } from '../../src/gateway/gatewaySuite.ts'
import { request, runTorb } from '../rig.ts'
import { freePort } from '../../src/planes/freePort.ts'

/** Kubernetes' fields as far as the manifest uses them: a name it does not know is a mistake, and so is a wrong type. */
const labels = z.record(z.string(), z.string())
const metadata = z.strictObject({
  name: z.string(),
  namespace: z.literal('torb').optional(),
  labels: labels.optional(),
})
const probe = z.strictObject({
  httpGet: z.strictObject({ host: z.string(), port: z.int(), path: z.string() }),
  periodSeconds: z.int().min(1),
  timeoutSeconds: z.int().min(1).optional(),
  failureThreshold: z.int().min(1).optional(),
})
const container = z.strictObject({
  name: z.string(),
  image: z.string(),
  imagePullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']),
  command: z.array(z.string()),
  envFrom: z.array(z.strictObject({ configMapRef: z.strictObject({ name: z.string() }) })),
  env: z.array(
    z.strictObject({
      name: z.string(),
      valueFrom: z.strictObject({ fieldRef: z.strictObject({ fieldPath: z.literal('spec.nodeName') }) }),
    }),
  ),
  ports: z.array(
    z.strictObject({
      name: z.string().max(15),
      containerPort: z.int(),
      hostPort: z.int(),
      protocol: z.enum(['TCP', 'UDP', 'SCTP']),
    }),
  ),
  startupProbe: probe,
  readinessProbe: probe,
  livenessProbe: probe,
  resources: z.strictObject({
    requests: z.strictObject({ cpu: z.string().regex(/^\d+m$/), memory: z.string().regex(/^\d+[MG]i$/) }),
    limits: z.strictObject({ memory: z.string().regex(/^\d+[MG]i$/) }),
  }),
  securityContext: z.strictObject({
    allowPrivilegeEscalation: z.literal(false),
    readOnlyRootFilesystem: z.literal(true),
    capabilities: z.strictObject({ drop: z.tuple([z.literal('ALL')]) }),
  }),
  volumeMounts: z.array(z.strictObject({ name: z.string(), mountPath: z.string().startsWith('/') })),
})
const pod = z.strictObject({
  nodeSelector: labels,
  hostNetwork: z.literal(true),
  dnsPolicy: z.literal('ClusterFirstWithHostNet'),
  automountServiceAccountToken: z.literal(false),
  terminationGracePeriodSeconds: z.int().min(20),
  securityContext: z.strictObject({
    runAsNonRoot: z.literal(true),
    runAsUser: z.int().min(1),
    runAsGroup: z.int().min(1),
    fsGroup: z.int().min(1),
    seccompProfile: z.strictObject({ type: z.enum(['RuntimeDefault', 'Localhost', 'Unconfined']) }),
  }),
  containers: z.tuple([container]),
  volumes: z.array(z.strictObject({ name: z.string(), emptyDir: z.strictObject({}) })),
})
const manifest = z.tuple([
  z.strictObject({ apiVersion: z.literal('v1'), kind: z.literal('Namespace'), metadata }),
  z.strictObject({ apiVersion: z.literal('v1'), kind: z.literal('ConfigMap'), metadata, data: labels }),
  z.strictObject({
    apiVersion: z.literal('apps/v1'),
    kind: z.literal('DaemonSet'),
    metadata,
    spec: z.strictObject({
      selector: z.strictObject({ matchLabels: labels }),
      updateStrategy: z.strictObject({
        type: z.literal('RollingUpdate'),
        rollingUpdate: z.strictObject({ maxUnavailable: z.int().min(1) }),
      }),
      template: z.strictObject({ metadata: z.strictObject({ labels }), spec: pod }),
    }),
  }),
])

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const text = read('packaging/kubernetes/daemonset.yaml')

describe('the Kubernetes manifest', () => {
  const documents = parseAllDocuments(text)
  const [namespace, config, daemonSet] = manifest.parse(
    documents.map((document) => document.toJS() as unknown),
  )
  const { template, selector } = daemonSet.spec
  const [gateway] = template.spec.containers

  it('is YAML without errors and warnings', () => {
    expect(documents.flatMap(({ errors, warnings }) => [...errors, ...warnings])).toEqual([])
  })

  it('is of one namespace, and selects the pods that it makes', () => {
    expect([config, daemonSet].map(({ metadata }) => metadata.namespace)).toEqual(['torb', 'torb'])
    expect(namespace.metadata.name).toBe('torb')
    expect(template.metadata.labels).toMatchObject(selector.matchLabels)
  })

  it('gives every variable of edgerun, once, as the page says', () => {
    expect(gateway.envFrom).toEqual([{ configMapRef: { name: config.metadata.name } }])
    const given = [...Object.keys(config.data), ...gateway.env.map(({ name }) => name)]
    const inPage = [...read('docs/kubernetes.md').matchAll(/^\| `(eb_go_lb_\w+)` \|/gm)].map(
      ([, name]) => name,
    )
    expect(given.toSorted()).toEqual([...inPage].sort())
    expect(template.spec.nodeSelector['topology.kubernetes.io/zone']).toBe(config.data['eb_go_lb_zone'])
  })

  it('names the port that the gateway listens on, and probes the API where it listens', () => {
    const port = Number(config.data['eb_go_lb_listen_port'])
    expect(gateway.ports).toMatchObject([{ containerPort: port, hostPort: port }])
    const api = gateway.command[gateway.command.indexOf('-l') + 1]
    for (const { httpGet } of [gateway.startupProbe, gateway.readinessProbe, gateway.livenessProbe]) {
      expect(`${httpGet.host}:${httpGet.port}`).toBe(api)
      expect(httpGet.path).toBe('/healthz')
    }
  })

  it('mounts what there is, with the data where Torb is told to keep it', () => {
    const mounts = new Map(gateway.volumeMounts.map(({ name, mountPath }) => [name, mountPath]))
    expect([...mounts.keys()].sort()).toEqual(template.spec.volumes.map(({ name }) => name).sort())
    expect(mounts.get('data')).toBe(gateway.command[gateway.command.indexOf('--data') + 1])
  })

  it('starts a gateway by its command and its environment', async () => {
    using data = mkdtempDisposableSync(join(tmpdir(), 'torb-kubernetes-'))
    await using instance = await named('answer')
    const port = await freePort()
    const [, ...args] = gateway.command.map((argument, n) => {
      const before = gateway.command[n - 1]
      return before === '-l' ? '127.0.0.1:0' : before === '--data' ? data.path : argument
    })
    const environment = {
      ...config.data,
      eb_go_lb_listen_port: String(port),
      eb_go_lb_etcd_host: '',
      eb_go_lb_node_name: 'node-7',
    }
    await using torb = await runTorb(args, /^torb ready /, environment)
    const { eb_go_lb_zone: zone = '' } = config.data
    const unknown = await get(port, '/function/none')
    expect(unknown).toMatchObject({
      status: 404,
      body: `error selecting server: no servers found for function: none - in ${zone}`,
    })
    const [api = ''] = /http:\S+/.exec(torb.lines.join()) ?? []
    const put = await request(`${api}/functions/f`, 'PUT', { ips: [instance.text], weights: [1] })
    expect(put.status).toBe(200)
    expect(await get(port, '/function/f')).toMatchObject({
      status: 200,
      body: 'answer',
      headers: { 'x-forwarded-for': 'node-7', 'x-final-host': instance.text },
    })
    expect((await request(`${api}${gateway.readinessProbe.httpGet.path}`)).status).toBe(200)
  })
})
