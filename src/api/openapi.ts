import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod'

/** OpenAPI 3.1 has it, the types are of 3.0. */
const mutualTls = {
  type: 'mutualTLS',
  description: 'a client certificate of the configured authority',
} as unknown as { type: 'http'; scheme: string }

/** The frame of /openapi.json; paths and schemas are made from the routes. */
export function openapiDocument(version: string): FastifyDynamicSwaggerOptions {
  return {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Torb',
        version,
        description:
          'Services, backends and their health; functions. The dialect is that of GORB; what Torb adds comes after its keys.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/' }],
      tags: [
        { name: 'services', description: 'Virtual services' },
        { name: 'backends', description: 'The servers behind a service' },
        { name: 'functions', description: 'What the function gateway routes to' },
        { name: 'daemon', description: 'Torb itself' },
      ],
      security: [{}, { token: [] }, { certificate: [] }],
      components: {
        securitySchemes: {
          token: { type: 'http', scheme: 'bearer', description: 'the token of the token file' },
          certificate: mutualTls,
        },
      },
    },
    transform: jsonSchemaTransform,
    transformObject: (document) => withoutUnused(jsonSchemaTransformObject(document) as Document) as never,
  }
}

interface Document {
  readonly components?: { readonly schemas?: Record<string, unknown> }
}

/** The document without schemas that nothing refers to: each is made once as a request's and once as an answer's. */
function withoutUnused(document: Document): Document {
  const schemas = document.components?.schemas ?? {}
  const text = JSON.stringify(document)
  const used = Object.entries(schemas).filter(([name]) => text.includes(`"#/components/schemas/${name}"`))
  const pruned = { ...document, components: { ...document.components, schemas: Object.fromEntries(used) } }
  return used.length === Object.keys(schemas).length ? pruned : withoutUnused(pruned)
}
