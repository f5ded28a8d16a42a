import type { DaemonOptions } from '../../model/daemon.ts'
import type { EtcdOptions } from './etcd.ts'
import { defaultGuard } from './zone.ts'

/**
 * What the daemon's options say of etcd; null: there is none.
 *
 * @param password of the environment
 * @throws Error where there is no zone
 */
export function etcdOptions(options: DaemonOptions, password: string | undefined): EtcdOptions | null {
  const { etcd = [], zones = [], etcd_user: user, etcd_max_loss: percent } = options
  const endpoints = etcd.filter((text) => text !== '')
  if (endpoints.length === 0) return null
  if (zones.length === 0) {
    throw new Error('functions of etcd are those of a zone and none is given: give one with --zone NAME')
  }
  return {
    endpoints,
    zones,
    user,
    // One in a file that was named is meant, whatever the environment holds.
    password: user === undefined || options.etcd_password_file !== undefined ? undefined : password,
    passwordFile: options.etcd_password_file,
    ca: options.etcd_ca,
    cert: options.etcd_cert,
    key: options.etcd_key,
    guard: percent === undefined ? defaultGuard : { ...defaultGuard, maxLoss: percent / 100 },
  }
}
