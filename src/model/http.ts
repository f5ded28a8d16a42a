import { z } from 'zod'
import { readNetwork } from './address.ts'

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
  })
  .meta({ id: 'HttpOptions' })
export type HttpOptions = z.output<typeof httpBody>
