import { z } from 'zod'
import { readNetwork } from './address.ts'
import { isInterval } from './duration.ts'

/** What only a service of `"protocol": "http"` has. */
export const httpBody = z
  .strictObject({
    trusted_proxies: z
      .array(
        z
          .string()
          .max(64)
          .refine((text) => readNetwork(text) !== null, {
            error: 'must be an address or a network, such as 10.0.0.0/8 or 2001:db8::/32',
          }),
      )
      .max(1024)
      .optional()
      .describe('proxies in front of Torb whose X-Forwarded-For, -Host and -Proto are believed')
      .meta({ examples: [['10.0.0.0/8', '2001:db8::7']] }),
    queue: z
      .number()
      .int()
      .min(0)
      .max(1_000_000)
      .optional()
      .describe('requests that wait while all backends are full, by their limits; default 0'),
    wait: z
      .string()
      .refine(isInterval, { error: 'must be a time of whole seconds, such as 2s' })
      .optional()
      .describe('how long they wait, such as 2s; default 1s'),
  })
  .meta({ id: 'HttpOptions' })
export type HttpOptions = z.output<typeof httpBody>
