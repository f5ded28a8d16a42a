import { SystemCallError } from '../ffi.ts'
import { attributes, type AttributeTable, type AttributeValues } from './attributes.ts'
import { string, struct, u16, u8, type Codec, type Writer } from './codec.ts'
import type { Message } from './message.ts'
import { netlinkFamily, NetlinkSocket, type Request, type SocketOptions } from './socket.ts'

/** linux/genetlink.h */
const genericHeader = struct({ command: u8, version: u8, reserved: u16 })
const GENL_ID_CTRL = 16
const CTRL_CMD_GETFAMILY = 3
const control = attributes({ id: [1, u16], name: [2, string] })

/** A generic netlink family on a socket of its own. */
export class GenericFamily {
  readonly socket: NetlinkSocket
  readonly #id: number
  readonly #version: number

  private constructor(socket: NetlinkSocket, id: number, version: number) {
    this.socket = socket
    this.#id = id
    this.#version = version
  }

  /**
   * Opens a socket and looks the family up by its name, for which the kernel may load a module.
   *
   * @throws SystemCallError with ENOENT where the kernel has no such family
   */
  static async open(name: string, version: number, options: SocketOptions = {}): Promise<GenericFamily> {
    const socket = await NetlinkSocket.open(netlinkFamily.generic, options)
    try {
      const answer = socket.request({
        name: `look up generic netlink family ${name}`,
        type: GENL_ID_CTRL,
        write: writeGeneric(CTRL_CMD_GETFAMILY, 1, control, { name }),
      })
      const id = answer === null ? undefined : readGeneric(answer, control)?.id
      if (id === undefined) {
        throw new SystemCallError(`look up generic netlink family ${name}`, ENOENT, 'the answer has no id')
      }
      return new GenericFamily(socket, id, version)
    } catch (error) {
      socket.close()
      throw error
    }
  }

  request<T extends AttributeTable>(
    name: string,
    command: number,
    codec: Codec<AttributeValues<T>>,
    values: AttributeValues<T>,
  ): Request {
    return { name, type: this.#id, write: writeGeneric(command, this.#version, codec, values) }
  }

  close(): void {
    this.socket.close()
  }
}

const ENOENT = 2

/** The attributes of a generic netlink message; undefined where it is too short. */
export function readGeneric<T>({ payload }: Message, codec: Codec<T>): T | undefined {
  return codec.read(payload, genericHeader.size, Math.max(0, payload.byteLength - genericHeader.size))
}

const writeGeneric =
  <T>(command: number, version: number, codec: Codec<T>, values: T) =>
  (out: Writer): void => {
    genericHeader.write(out, { command, version, reserved: 0 })
    codec.write(out, values)
  }
