import { createConfig, lintFromString } from '@redocly/openapi-core'
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { functionBody, readFunction } from '../model/function.ts'
import { injectedApi, type InjectedApi } from '../../test/fixtures/api.ts'

interface Operation {
  readonly operationId: string
  readonly security?: readonly object[]
  readonly responses: Record<string, { readonly description: string; readonly content?: object }>
}

interface Document {
  readonly openapi: string
  readonly paths: Record<string, Record<string, Operation>>
  readonly components: { readonly schemas: Record<string, unknown> }
}

let api: InjectedApi
let text: string
let document: Document

beforeAll(async () => {
  api = await injectedApi()
  text = (await api.request('GET', '/openapi.json')).body
  document = JSON.parse(text) as Document
})
afterAll(async () => api[Symbol.asyncDispose]())

const operations = () =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  )

describe('/openapi.json', () => {
  it('passes the recommended rules of redocly', async () => {
    // It has one server, relative to where it was fetched; nothing to say about examples of hosts.
    const config = await createConfig({ extends: ['recommended'] })
    const problems = await lintFromString({ source: text, absoluteRef: 'openapi.json', config })
    expect(problems.map(({ ruleId, message, location }) => [ruleId, message, location[0]?.pointer])).toEqual(
      [],
    )
  })

  it('has every route', () => {
    expect(operations().map(({ method, path }) => `${method} ${path}`)).toMatchInlineSnapshot(`
      [
        "GET /service",
        "GET /service/{vs}",
        "PUT /service/{vs}",
        "PATCH /service/{vs}",
        "DELETE /service/{vs}",
        "GET /service/{vs}/{rs}",
        "PUT /service/{vs}/{rs}",
        "PATCH /service/{vs}/{rs}",
        "DELETE /service/{vs}/{rs}",
        "GET /functions",
        "GET /functions/{name}",
        "PUT /functions/{name}",
        "PATCH /functions/{name}",
        "DELETE /functions/{name}",
        "POST /sources/{source}/confirm",
        "POST /counters/zero",
        "POST /counters/zero/{vs}",
        "GET /metrics",
        "GET /events",
        "GET /plane",
        "GET /explain",
        "GET /explain/request",
        "GET /healthz",
        "GET /openapi.json",
      ]
    `)
  })

  it('tells the errors of each', () => {
    for (const { path, method, operation } of operations()) {
      const known = Object.keys(operation.responses)
      const expected = ['200', '403', ...(path === '/healthz' ? [] : ['401'])]
      if (path.includes('{')) expected.push('400', '404')
      if (method !== 'GET') expected.push('415', '500', '503')
      // Zeroing stores nothing.
      if (!['GET', 'POST'].includes(method)) expected.push('409', '507')
      expect(known, `${method} ${path}`).toEqual(expect.arrayContaining(expected))
    }
  })

  it('has examples of functions that the model takes', () => {
    const { schemas } = document.components as {
      schemas: Record<string, { examples?: unknown[]; properties: Record<string, { examples?: unknown[] }> }>
    }
    const properties = schemas['FunctionInput']?.properties
    const example = {
      method: 'hash' as const,
      ips: properties?.['ips']?.examples?.[0],
      weights: properties?.['weights']?.examples?.[0],
      hash_header: properties?.['hash_header']?.examples?.[0],
      limits: schemas['FunctionLimitsInput']?.examples?.[0],
      ejection: schemas['EjectionInput']?.examples?.[0],
    }
    expect(Object.values(example)).not.toContain(undefined)
    expect(readFunction(functionBody.parse(example))).toEqual(example)
  })

  it('is covered by the page for people, with a command each', () => {
    const page = readFileSync(new URL('../../docs/api.md', import.meta.url), 'utf8')
    const missing = operations()
      .map(({ method, path }) => `### ${method} ${path}`)
      .filter((heading) => !page.includes(`${heading}\n`))
    expect(missing).toEqual([])
  })
})
