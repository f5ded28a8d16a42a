import { describe, expect, it } from 'vitest'
import { cleanTarget, readTarget, type Target } from './target.ts'

function read(target: string): string[] {
  const into: Target = { kind: 'invalid', nameAt: 0, nameEnd: 0 }
  // Bytes around it that must not be read as part of it.
  const bytes = Buffer.from(`GET ${target}/../x`)
  readTarget(bytes, 4, 4 + target.length, into)
  if (into.kind !== 'function') return [into.kind]
  return [bytes.toString('latin1', into.nameAt, into.nameEnd), target.slice(into.nameEnd - 4)]
}

describe('a target', () => {
  it.each([
    ['/function/resnet', ['resnet', '']],
    ['/function/resnet/', ['resnet', '/']],
    ['/function/resnet/a/b', ['resnet', '/a/b']],
    ['/function/resnet?x=1', ['resnet', '?x=1']],
    ['/function/resnet/a?x=1/2//3/../4', ['resnet', '/a?x=1/2//3/../4']],
    ['/function/resnet/a%2Fb', ['resnet', '/a%2Fb']],
    ['/function/resnet/.well-known/..x', ['resnet', '/.well-known/..x']],
    ['/function/', ['', '']],
    ['/function/?x', ['', '?x']],
    ['/', ['invalid']],
    ['/function', ['invalid']],
    ['/function?/x', ['invalid']],
    ['*', ['invalid']],
    ['/functions/x', ['not-a-function']],
    ['/x/y/z', ['not-a-function']],
    ['//function/x', ['moved']],
    ['/function//x', ['moved']],
    ['/function/x//', ['moved']],
    ['/function/./x', ['moved']],
    ['/function/x/..', ['moved']],
    ['/function/x/..?a', ['moved']],
    ['/function/x/../../y', ['moved']],
  ])('%s is %j', (target, parts) => {
    expect(read(target)).toEqual(parts)
  })

  it.each([
    ['//function/x', '/function/x'],
    ['/function//x//', '/function/x/'],
    ['/function/x/../y?a=/../b', '/function/y?a=/../b'],
    ['/function/x/..', '/function/'],
    ['/function/./x/.', '/function/x/'],
    ['/../..', '/'],
    ['/a%2F..//b', '/a%2F../b'],
  ])('%s has moved to %s', (target, location) => {
    expect(cleanTarget(target)).toBe(location)
    expect(read(location)).not.toEqual(['moved'])
  })
})
