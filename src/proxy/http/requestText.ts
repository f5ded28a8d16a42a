/** A part of a request as text: bytes above 0x7f stay what they are. */
export function requestText(bytes: Uint8Array, from: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, end - from).toString('latin1')
}
