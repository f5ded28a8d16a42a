/**
 * A text as a part of an identifier: what OVN takes as the name of a template variable, and OVSDB as that of a lock (RFC 7047,
 * section 3.1, `<id>`). Letters and digits as they are, any other byte as _ and two hexadecimal digits.
 */
export const identifier = (text: string): string =>
  Array.from(Buffer.from(text), (byte) => {
    const letter = String.fromCharCode(byte)
    return /[A-Za-z0-9]/.test(letter) ? letter : `_${byte.toString(16).padStart(2, '0')}`
  }).join('')
