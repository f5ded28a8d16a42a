/** What begins the names of Torb's variables in Chassis_Template_Var. */
const prefix = 'torb_'

/** The variable that holds the virtual address of a service: a name that OVN's lexer takes, another for each owner and service. */
export const variableOf = (owner: string, service: string): string =>
  `${prefix}${escaped(owner)}__${escaped(service)}`

/** Letters and digits as they are; any other byte as _ and two hexadecimal digits. */
const escaped = (text: string): string =>
  Array.from(Buffer.from(text), (byte) => {
    const letter = String.fromCharCode(byte)
    return /[A-Za-z0-9]/.test(letter) ? letter : `_${byte.toString(16).padStart(2, '0')}`
  }).join('')
