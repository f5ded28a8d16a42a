import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isKnownPath, judgePath } from './path.ts'

describe('judgePath', () => {
  it.each([
    ['/service', { kind: 'route' }],
    ['/service/a%20b?x=//y/..', { kind: 'route' }],
    ['/service/', { kind: 'missing' }],
    ['/service/x/', { kind: 'missing' }],
    ['/', { kind: 'missing' }],
    ['//service', { kind: 'moved', location: '/service' }],
    ['/service//0?full', { kind: 'moved', location: '/service/0?full' }],
    ['/service/0//', { kind: 'moved', location: '/service/0/' }],
    ['/a/../service/./0', { kind: 'moved', location: '/service/0' }],
    ['/service/%2e%2e/%2E/plane', { kind: 'moved', location: '/plane' }],
    ['/../..', { kind: 'moved', location: '/' }],
    ['/service/a%2F..', { kind: 'route' }],
    ['/service/%zz', { kind: 'malformed', reason: 'the path holds a % escape that is not UTF-8' }],
    ['/service/%ff', { kind: 'malformed', reason: 'the path holds a % escape that is not UTF-8' }],
    ['http://elsewhere/service', { kind: 'malformed', reason: 'the request target must be a path' }],
    ['*', { kind: 'malformed', reason: 'the request target must be a path' }],
  ])('%s', (target, expected) => {
    expect(judgePath(target)).toEqual(expected)
  })

  it('moves a path at most once, to another path of this host', () => {
    const segment = fc.constantFrom('', '.', '..', '%2e', 'a', 'b%20c', '%2F', '...')
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 8 }), (segments) => {
        const first = judgePath(`/${segments.join('/')}`)
        if (first.kind !== 'moved') return
        expect(first.location).toMatch(/^\/(?!\/)/)
        expect(judgePath(first.location).kind).not.toBe('moved')
      }),
    )
  })
})

describe('isKnownPath', () => {
  const patterns = ['/service', '/service/:vs', '/metrics']
  it.each([
    ['/service', true],
    ['/service?x', true],
    ['/service/0', true],
    ['/service/0/1', false],
    ['/metrics', true],
    ['/metric', false],
    ['/', false],
  ])('%s: %s', (path, known) => {
    expect(isKnownPath(patterns, path)).toBe(known)
  })
})
