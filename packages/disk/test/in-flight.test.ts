import { describe, expect, it } from 'vitest';
import { BufferPool } from '../src/buffer-pool.ts';
import { InFlight } from '../src/in-flight.ts';
import { CHUNK_SIZE, LEAF_SIZE } from '../src/index.ts';

/** Feeds a link whose throughput depends on the limit, for some simulated seconds; gives the limit at the end. */
function settle(rateOf: (limit: number) => number, most: number, seconds = 10): { limit: number; highest: number } {
  const window = new InFlight({ start: 8, most, sampleMs: 100 }, 0);
  let highest = 0;
  for (let now = 0; now < seconds * 1_000; now += 10) {
    window.held();
    window.finished(rateOf(window.limit) * CHUNK_SIZE * 0.01, now);
    highest = Math.max(highest, window.limit);
  }
  return { limit: window.limit, highest };
}

describe('the number of chunks in flight', () => {
  it('climbs to the bound over a long link, where each one more is faster', () => {
    expect(settle((limit) => limit * 20, 64).limit).toBe(64);
  });

  it('stays where it began when more is not faster, trying again now and then', () => {
    const { limit, highest } = settle(() => 2_000, 64);
    expect(limit).toBeLessThanOrEqual(16);
    expect(highest).toBe(16);
  });

  it('stops climbing where the link is full', () => {
    const { limit } = settle((at) => Math.min(at, 20) * 20, 64);
    expect(limit).toBeGreaterThanOrEqual(16);
    expect(limit).toBeLessThanOrEqual(64);
  });

  it('never passes its bound, and learns nothing from a copy that did not use it up', () => {
    expect(settle((limit) => limit * 20, 6).highest).toBe(6);
    const window = new InFlight({ start: 8, most: 64, sampleMs: 100 }, 0);
    for (let now = 0; now < 5_000; now += 10) window.finished(now * CHUNK_SIZE, now);
    expect(window.limit).toBe(8);
  });
});

describe('a pool of buffers', () => {
  it('never allocates more than its bound, whatever sizes are asked for', () => {
    const pool = new BufferPool(4 * CHUNK_SIZE);
    const held: Uint8Array[] = [];
    let state = 7;
    for (let i = 0; i < 2_000; i++) {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
      if (state % 3 === 0 && held.length > 0) pool.give(held.splice(state % held.length, 1)[0]!);
      else {
        const bytes = 1 + (state % CHUNK_SIZE);
        const buffer = pool.take(bytes);
        if (buffer) {
          expect(buffer.byteLength).toBeGreaterThanOrEqual(bytes);
          expect(held.includes(buffer)).toBe(false);
          held.push(buffer);
        }
      }
      expect(pool.allocated).toBeLessThanOrEqual(4 * CHUNK_SIZE);
    }
  });

  it('gives idle buffers of one size up for another size', () => {
    const pool = new BufferPool(CHUNK_SIZE);
    const small = Array.from({ length: 8 }, () => pool.take(LEAF_SIZE)!);
    expect(pool.take(LEAF_SIZE)).toBe(undefined);
    for (const buffer of small) pool.give(buffer);
    expect(pool.take(CHUNK_SIZE)?.byteLength).toBe(CHUNK_SIZE);
  });
});
