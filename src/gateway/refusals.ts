import { prepareAnswer, type Answer } from '../proxy/http/policy.ts'
import { cleanTarget } from './target.ts'

/** Seconds after which a client that found all places taken may ask again. */
const retryAfter = '1'
/** Bytes of a Location: an answer has room for no more. */
const longestLocation = 2048
/** So that a browser does not take a text with somebody's path in it for a page. */
const plain = { 'X-Content-Type-Options': 'nosniff' }

/** The answers of the gateway itself; the texts of 404 are those of the edgerun balancer. */
export class Refusals {
  readonly #zone: string
  readonly full: Answer
  readonly unavailable: Answer
  readonly loop: Answer

  constructor(zone: string) {
    this.#zone = zone
    this.full = prepareAnswer(503, 'Service Unavailable', 'all instances are busy: try again later\n', {
      ...plain,
      'Retry-After': retryAfter,
    })
    // As where an instance was asked in vain.
    this.unavailable = prepareAnswer(502, 'Bad Gateway')
    this.loop = prepareAnswer(
      508,
      'Loop Detected',
      this.#text('only gateways have this function, and the request has passed as many as it may'),
      plain,
    )
  }

  invalid(target: string): Answer {
    return this.#notFound(`invalid URL format: ${target}\n`)
  }

  notAFunction(target: string): Answer {
    return this.#notFound(`not a function call: ${target}\n`)
  }

  unknown(name: string): Answer {
    return this.#notFound(`no servers found for function: ${name}`)
  }

  empty(name: string): Answer {
    return prepareAnswer(503, 'Service Unavailable', this.#text(`function ${name} has no instances`), plain)
  }

  moved(target: string): Answer {
    const location = cleanTarget(target)
    return location.length > longestLocation
      ? prepareAnswer(414, 'URI Too Long', this.#text('the path is too long to be cleaned\n'), plain)
      : prepareAnswer(301, 'Moved Permanently', '', { Location: location })
  }

  dummy(target: string, host: string): Answer {
    return prepareAnswer(200, 'OK', `Dummy response, URL: ${target}, Host: ${host}`, plain)
  }

  #notFound(reason: string): Answer {
    return prepareAnswer(404, 'Not Found', this.#text(reason), plain)
  }

  #text(reason: string): string {
    return `error selecting server: ${reason} - in ${this.#zone}`
  }
}
