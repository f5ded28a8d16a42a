import { Readable } from 'node:stream'
import { z } from 'zod'
import { noFunction } from '../../control/functionTable.ts'
import { functionBody, functionPatchBody, type FunctionName } from '../../model/function.ts'
import { invalid } from '../../model/refusal.ts'
import { answerDone, answerJson } from '../answer.ts'
import { functionPath, responses, writeErrors, type App } from '../describe.ts'
import type { FunctionFacts } from '../functionFacts.ts'
import { goJson, goJsonArray, indented } from '../json.ts'
import {
  fullFunctionListShape,
  functionListShape,
  functionShape,
  wireClaims,
  wireFunction,
  wireFunctionInFull,
  wireGateway,
} from '../wireFunction.ts'
import { isKeyOf, rejectedListShape, wireRejected, wireSource, type WireSource } from '../wireSource.ts'

const tags = ['functions']
const flag = (name: string) => z.enum(['', 'true', '1'], { error: `${name} takes no value` }).optional()

/** Functions of the gateway; also where none runs: they are kept, and `gateway` in the answer is null. */
export function functionRoutes(app: App, facts: FunctionFacts): void {
  const { table } = facts

  app.get(
    '/functions',
    {
      schema: {
        operationId: 'listFunctions',
        summary: 'List the functions in force, and how their sources are',
        description:
          'With `full` also what was counted; with `rejected` instead the keys that cannot be used.',
        tags,
        querystring: z.strictObject({
          full: flag('full').describe('with statistics'),
          rejected: flag('rejected').describe('keys that cannot be used, with the reason'),
          limit: z
            .string()
            .regex(/^[1-9]\d{0,6}$/, 'must be a number from 1 up')
            .optional()
            .describe('shows so many functions, the first by name'),
        }),
        response: responses(
          {
            description: 'the functions by name, or the rejected keys',
            schema: z.union([functionListShape, fullFunctionListShape, rejectedListShape]),
          },
          400,
        ),
      },
    },
    async (request, reply) => {
      const { full, rejected, limit } = request.query
      if (rejected !== undefined && (full !== undefined || limit !== undefined))
        throw invalid(
          `${full === undefined ? 'limit' : 'full'} and rejected ask for different things: give one of them`,
        )
      if (rejected !== undefined) return answerJson(reply, table.rejected().map(wireRejected))
      return reply
        .header('content-type', 'application/json')
        .send(Readable.from(functionList(facts, full !== undefined, Number(limit ?? Infinity))))
    },
  )

  app.get(
    '/functions/:name',
    {
      schema: {
        operationId: 'getFunction',
        summary: 'Show a function, who has it and what was counted',
        tags,
        params: functionPath,
        response: responses({ description: 'the function', schema: functionShape }, 400, 404),
      },
    },
    async (request, reply) => {
      const { name } = request.params
      const published = table.function(name)
      const rejected = table.rejected().filter(({ key }) => isKeyOf(key, name))
      if (published === null) throw noFunction(name, rejected[0])
      return answerJson(reply, {
        ...wireFunctionInFull(published, facts.health(), facts.gateway()?.state(name) ?? null),
        sources: wireClaims(table.claims(name)),
        rejected: rejected.map(wireRejected),
      })
    },
  )

  app.put(
    '/functions/:name',
    {
      schema: {
        operationId: 'putFunction',
        summary: 'Create or replace a function',
        description: 'The body is that of a value in etcd. What REST says stands above the file and etcd.',
        tags,
        params: functionPath,
        body: functionBody,
        response: responses({ description: 'durable, and new requests go by it' }, ...writeErrors),
      },
    },
    async (request, reply) => {
      await table.put(request.params.name, request.body)
      return answerDone(reply)
    },
  )

  app.patch(
    '/functions/:name',
    {
      schema: {
        operationId: 'changeFunction',
        summary: 'Change a function',
        description:
          'Fields given replace, fields absent stay as they are in force, whoever decides it: the result is REST’s.',
        tags,
        params: functionPath,
        body: functionPatchBody,
        response: responses({ description: 'durable, and new requests go by it' }, ...writeErrors),
      },
    },
    async (request, reply) => {
      await table.patch(request.params.name, request.body)
      return answerDone(reply)
    },
  )

  app.delete(
    '/functions/:name',
    {
      schema: {
        operationId: 'deleteFunction',
        summary: 'Take back what REST said of a function',
        description: 'What the file or etcd has of it is in force again; of theirs alone it is 409.',
        tags,
        params: functionPath,
        response: responses({ description: 'taken back' }, ...writeErrors),
      },
    },
    async (request, reply) => {
      await table.remove(request.params.name)
      return answerDone(reply)
    },
  )
}

/** How all sources are, that of REST left out: it is this API. */
export function sourcesOf({ table, etcd }: FunctionFacts): WireSource[] {
  const now = Date.now()
  const rejected = table.rejected()
  return table.sources().map((status) => {
    const followed = status.owner === 'etcd' ? etcd() : null
    const count = rejected.filter(({ owner }) => owner === status.owner).length
    return wireSource(status, followed?.status().zones ?? [], count, now)
  })
}

/** A list may be long: it is written in pieces. */
async function* functionList(facts: FunctionFacts, isFull: boolean, limit: number): AsyncGenerator<string> {
  const { table } = facts
  const gateway = facts.gateway()
  const health = facts.health()
  const shown = (name: FunctionName): { value: object; weight: number }[] => {
    const published = table.function(name)
    if (published === null) return []
    const value = isFull
      ? wireFunctionInFull(published, health, gateway?.state(name) ?? null)
      : wireFunction(published, health)
    return [{ value, weight: 1 + published.instances.length }]
  }
  const names = table.names()
  const head = { gateway: wireGateway(gateway), sources: sourcesOf(facts), total: names.length }
  yield `${goJson(head).slice(0, -'\n}'.length)},\n\t"functions": `
  for await (const piece of goJsonArray(names.slice(0, limit).values().flatMap(shown))) yield indented(piece)
  yield '\n}'
}
