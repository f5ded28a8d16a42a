import { readFileSync, writeFileSync } from 'node:fs'

/**
 * Settings of the kernel (Documentation/networking/ipvs-sysctl.rst) that Torb's answers stand on.
 *
 * expire_nodest_conn: connections of a backend that was removed end with their next packet, instead of vanishing into
 * nothing until a time-out. expire_quiescent_template: persistence lets go of a backend at weight 0, so that a drain
 * ends. conn_reuse_mode: a client that comes again from the port of a closed connection is scheduled anew, so that it
 * does not land on a backend that is drained or gone; it is the kernel's default, and some set 0, which takes
 * expire_nodest_conn away as well.
 */
export const wantedSysctls = {
  expire_nodest_conn: 1,
  expire_quiescent_template: 1,
  conn_reuse_mode: 1,
} as const

/** Those that people ask for; `facts` shows them. */
const shownSysctls = [
  ...(Object.keys(wantedSysctls) as (keyof typeof wantedSysctls)[]),
  'conntrack',
  'sloppy_tcp',
  'backup_only',
  'drop_entry',
  'drop_packet',
  'secure_tcp',
] as const

const directory = '/proc/sys/net/ipv4/vs'

/** The settings of this network namespace; what the kernel has not is left out. */
export function readSysctls(root = directory): Record<string, number> {
  const values: Record<string, number> = {}
  for (const name of shownSysctls) {
    try {
      values[name] = Number(readFileSync(`${root}/${name}`, 'latin1'))
    } catch {
      // Of another kernel version, or IPVS is not loaded.
    }
  }
  return values
}

/** Sets what differs. @returns for each that could not be set a sentence with the command to run */
export function writeSysctls(root = directory): string[] {
  const held = readSysctls(root)
  const complaints: string[] = []
  for (const [name, value] of Object.entries(wantedSysctls)) {
    if (held[name] === value) continue
    try {
      writeFileSync(`${root}/${name}`, `${value}\n`)
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
      complaints.push(
        `net.ipv4.vs.${name} is ${held[name] ?? 'unknown'} and could not be set (${code}); run \`sysctl -w net.ipv4.vs.${name}=${value}\` as root`,
      )
    }
  }
  return complaints
}
