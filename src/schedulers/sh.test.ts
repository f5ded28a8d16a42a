import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { dh } from './dh.ts'
import { anyAddress, anyRows, become, ipv4, pickOf, plain, tableOf, weights } from './sample.ts'
import type { Scheduler, SchedulerOptions, Table } from './scheduler.ts'
import { sh } from './sh.ts'

/** For each slot an address that hashes to it. */
const addressOf = Array.from({ length: 256 }, () => new Uint8Array(4))
for (let last = 0; last < 4096; last++) {
  const word = 0x0a000000 + last
  const slot = Number(BigInt.asUintN(32, BigInt(word) * 0x61c88647n) >> 24n)
  addressOf[slot] = Uint8Array.of(10, 0, last >> 8, last & 255)
}

const slotsOf = (scheduler: Scheduler, table: Table): number[] =>
  addressOf.map((address) => scheduler.pick(table, pickOf({ source: address, destination: address })))

const count = (slots: readonly number[], index: number) => slots.filter((slot) => slot === index).length
const withFallback: SchedulerOptions = { fallback: true, port: false }

describe('sh', () => {
  // Slots by hash_32 of linux/hash.h, computed apart: 10.0.0.1 -> 39, 10.0.0.2 -> 137, 192.168.1.7 -> 211, 2001:db8::1 -> 63.
  it.each([
    ['10.0.0.1', ipv4('10.0.0.1'), 39],
    ['10.0.0.2', ipv4('10.0.0.2'), 137],
    ['192.168.1.7', ipv4('192.168.1.7'), 211],
    ['2001:db8::1', Uint8Array.of(0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), 63],
  ])('%s takes its slot', (_, source, slot) => {
    const table = tableOf(Array.from({ length: 256 }, () => ({})))
    expect(sh(table, plain).pick(table, pickOf({ source }))).toBe(slot)
    expect(dh(table, plain).pick(table, pickOf({ destination: source }))).toBe(slot)
  })

  it('adds the source port where asked: 10.0.0.1 and 1234 -> 128', () => {
    const table = tableOf(Array.from({ length: 256 }, () => ({})))
    expect(sh(table, { fallback: false, port: true }).pick(table, pickOf({ sourcePort: 1234 }))).toBe(128)
    expect(sh(table, plain).pick(table, pickOf({ sourcePort: 1234 }))).toBe(39)
  })

  it('fills 256 slots in list order, each its weight in a row, wrapping', () => {
    const table = weights(3, 1, 2)
    const slots = slotsOf(sh(table, plain), table)
    expect(slots.slice(0, 8)).toEqual([0, 0, 0, 1, 2, 2, 0, 0])
    // 42 rounds of 6 are 252; A A A B remain.
    expect([0, 1, 2].map((index) => count(slots, index))).toEqual([129, 43, 84])
  })

  it('leaves a drained destination one slot a round, which refuses', () => {
    const table = weights(2, 0)
    const slots = slotsOf(sh(table, plain), table)
    expect(slots.slice(0, 6)).toEqual([0, 0, -1, 0, 0, -1])
  })

  it('probes from twice the home slot with fallback, as the kernel', () => {
    const table = tableOf(Array.from({ length: 256 }, () => ({})))
    const scheduler = sh(table, withFallback)
    table.overloaded[39] = 1
    expect(scheduler.pick(table, pickOf())).toBe(78)
    table.overloaded[78] = 1
    expect(scheduler.pick(table, pickOf())).toBe(79)
  })

  it('gives each its share where the weights sum to more than the slots, which the kernel does not', () => {
    const table = weights(100, 100, 100, 100)
    const counts = () => [0, 1, 2, 3].map((index) => count(slotsOf(scheduler, table), index))
    const scheduler = sh(table, plain)
    expect(counts()).toEqual([64, 64, 64, 64])
    table.weight[1] = 0
    scheduler.changed(table, 'health')
    expect(counts()).toEqual([85, 0, 86, 85])
    table.weight.set([300, 100, 1, 0])
    scheduler.changed(table, 'weight')
    expect(counts()).toEqual([192, 63, 1, 0])
  })

  it('is rebuilt when health moves a weight', () => {
    const table = weights(80, 100, 76)
    const scheduler = sh(table, plain)
    expect(count(slotsOf(scheduler, table), 1)).toBe(100)
    table.weight[1] = 0
    expect(count(slotsOf(scheduler, table), -1)).toBe(100)
    scheduler.changed(table, 'health')
    // One slot a round, and the rest fills them in two.
    expect(count(slotsOf(scheduler, table), -1)).toBe(2)
  })

  it('same client, same server; an unusable one refuses, with fallback never while another is there', () => {
    fc.assert(
      fc.property(anyRows, anyAddress, fc.nat(65_535), fc.nat(65_535), (rows, source, one, other) => {
        const table = tableOf(rows)
        // Beyond the 256th slot a destination has none: keep weights small enough for all of them.
        table.weight.forEach((weight, index) => (table.weight[index] = weight % 20))
        const free = (index: number) => table.weight[index]! > 0 && table.overloaded[index] === 0
        const first = sh(table, plain).pick(table, pickOf({ source, sourcePort: one }))
        expect(sh(table, plain).pick(table, pickOf({ source, sourcePort: other }))).toBe(first)
        const fallen = sh(table, withFallback).pick(table, pickOf({ source, sourcePort: one }))
        expect(fallen >= 0).toBe(rows.some((_, index) => free(index)))
        if (first >= 0) expect(fallen).toBe(first)
      }),
    )
  })
})

describe('dh', () => {
  it('gives the slots in turn, whatever the weights', () => {
    const table = weights(5, 1, 9)
    expect(slotsOf(dh(table, plain), table).slice(0, 6)).toEqual([0, 1, 2, 0, 1, 2])
  })

  it('refuses where the slot is unusable, and knows no fallback', () => {
    const table = tableOf([{}, { weight: 0 }, { overloaded: true }])
    expect(slotsOf(dh(table, withFallback), table).slice(0, 3)).toEqual([0, -1, -1])
  })

  it('hashes the destination, not the source, and follows the set', () => {
    const table = weights(1, 1)
    const scheduler = dh(table, plain)
    const pick = pickOf({ destination: addressOf[3]! })
    expect(scheduler.pick(table, pick)).toBe(1)
    expect(scheduler.pick(table, { ...pick, source: ipv4('10.9.9.9') })).toBe(1)
    become(table, [{}, {}, {}])
    scheduler.changed(table, 'set')
    expect(scheduler.pick(table, pick)).toBe(0)
    become(table, [])
    scheduler.changed(table, 'set')
    expect(scheduler.pick(table, pick)).toBe(-1)
  })
})
