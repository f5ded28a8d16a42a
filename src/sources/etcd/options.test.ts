import { describe, expect, it } from 'vitest'
import { etcdOptions } from './options.ts'
import { defaultGuard } from './zone.ts'

describe("the daemon's options of etcd", () => {
  it('are none without an endpoint', () => {
    expect(etcdOptions({ zones: ['a'] }, 'secret')).toBeNull()
    expect(etcdOptions({ etcd: [], zones: ['a'] }, undefined)).toBeNull()
  })

  it('need a zone', () => {
    expect(() => etcdOptions({ etcd: ['h:1'] }, undefined)).toThrow('give one with --zone NAME')
  })

  it('take the password of the environment for a user without a file', () => {
    const options = { etcd: ['h:1'], zones: ['a', 'b'] }
    expect(etcdOptions(options, 'secret')).toMatchObject({
      endpoints: ['h:1'],
      zones: ['a', 'b'],
      password: undefined,
      guard: defaultGuard,
    })
    expect(etcdOptions({ ...options, etcd_user: 'me' }, 'secret')).toMatchObject({ password: 'secret' })
    const withFile = { ...options, etcd_user: 'me', etcd_password_file: '/p', etcd_max_loss: 20 }
    expect(etcdOptions(withFile, 'secret')).toMatchObject({
      password: undefined,
      passwordFile: '/p',
      guard: { maxLoss: 0.2 },
    })
  })
})
