/** What a token of HTTP is made of (RFC 9110, section 5.6.2), as the inside of a class in a regular expression. */
export const tokenCharacters = "!#$%&'*+.^_`|~0-9A-Za-z-"

/** A method, or the name of a field. */
export const token = new RegExp(`^[${tokenCharacters}]+$`)
