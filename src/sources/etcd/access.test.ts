import { describe, expect, it } from 'vitest'
import { endpointUrls, readSecrets, splitEndpoints } from './access.ts'

describe('endpoints of etcd', () => {
  it('stand in one text; an empty one means that there is no etcd', () => {
    expect(splitEndpoints('localhost:2379')).toEqual(['localhost:2379'])
    expect(splitEndpoints(' a:1,b:2\thttps://c:3 ')).toEqual(['a:1', 'b:2', 'https://c:3'])
    expect(splitEndpoints(' ')).toEqual([])
  })

  it.each([
    ['localhost:2379', {}, 'http://localhost:2379'],
    ['localhost', {}, 'http://localhost:2379'],
    ['[::1]:80', {}, 'http://[::1]'],
    ['http://h:80', {}, 'http://h'],
    ['h:1', { ca: '/ca' }, 'https://h:1'],
    ['h:1', { cert: '/c', key: '/k' }, 'https://h:1'],
    ['http://h:1/', { ca: '/ca' }, 'http://h:1'],
    ['https://h', {}, 'https://h:2379'],
  ])('%s with %j is %s', (text, files, url) => {
    expect(endpointUrls({ endpoints: [text], ...files }).map(({ origin }) => origin)).toEqual([url])
  })

  it.each([
    [{ endpoints: ['ftp://h'] }, '"ftp://h" is no endpoint of etcd'],
    [{ endpoints: ['h:1/v3'] }, 'is no endpoint of etcd'],
    [{ endpoints: ['h:99999'] }, 'is no endpoint of etcd'],
    [{ endpoints: ['http://me:secret@h:1'] }, '"http://…@h:1" is no endpoint of etcd'],
    [{ endpoints: ['me:secret@h:1'] }, '"…@h:1" is no endpoint of etcd'],
    [{ endpoints: ['h'], cert: '/c' }, 'needs its key'],
    [{ endpoints: ['h'], user: 'me' }, 'the etcd user "me" needs a password'],
    [{ endpoints: ['h'], password: 'x' }, 'needs a user'],
  ])('%j is refused: %s', (access, reason) => {
    expect(() => endpointUrls(access)).toThrow(reason)
  })

  it('do not show a password that was put into one', () => {
    for (const text of ['http://me:secret@h:1', 'me:secret@h:1']) {
      expect(() => endpointUrls({ endpoints: [text] })).toThrow(/^(?!.*secret)/)
    }
  })

  it('have their secrets in files, which are named where they cannot be read', async () => {
    await expect(readSecrets({ endpoints: [], ca: '/none/ca.crt' })).rejects.toThrow(
      '/none/ca.crt for etcd cannot be read: ENOENT',
    )
    expect(await readSecrets({ endpoints: [], password: 'x' })).toEqual({ tls: {}, password: 'x' })
  })
})
