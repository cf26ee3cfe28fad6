import { describe, expect, it } from 'vitest';
import { BufferPool } from '../src/buffer-pool.ts';
import { InFlight } from '../src/in-flight.ts';
import { CHUNK_SIZE, LEAF_SIZE } from '../src/index.ts';

interface Path {
  /** Time that a write waits besides its turn on the wire, ms. */
  waitMs: number;
  /** Bytes per ms. */
  rate: number;
  most?: number;
  /** Chunks that the caller has to offer at once; default: any number. */
  offered?: number;
}

/** Writes chunks over a simulated path that carries them one after the other; gives the limit after that many ms. */
function settle({ waitMs, rate, most = 64, offered = 1_000 }: Path, ms: number): number {
  const window = new InFlight({ least: 8, start: 8, most, sampleMs: 25 }, 0);
  const open: { from: number; until: number }[] = [];
  let free = 0;
  for (let now = 0; now < ms; ) {
    while (open.length < Math.min(window.limit, offered)) {
      free = Math.max(free, now) + CHUNK_SIZE / rate;
      open.push({ from: now, until: free + waitMs });
    }
    if (open.length >= window.limit) window.held();
    const { from, until } = open.shift()!;
    now = until;
    window.finished('write', CHUNK_SIZE, now - from, now);
  }
  return window.limit;
}

describe('the number of chunks in flight', () => {
  it('stays where it began on a local path', () => {
    expect(settle({ waitMs: 0.3, rate: 1_300_000 }, 3_000)).toBe(8);
    expect(settle({ waitMs: 2, rate: 500_000 }, 3_000)).toBe(8);
  });

  it.each([
    [20, 125_000, 200],
    [50, 125_000, 400],
    [100, 125_000, 800],
    [100, 250_000, 1_000],
    [5, 1_250_000, 100],
  ])('fills a path of %i ms that carries %i bytes a ms within %i ms', (waitMs, rate, ms) => {
    const needed = (waitMs * rate) / CHUNK_SIZE;
    expect(settle({ waitMs, rate }, ms)).toBeGreaterThanOrEqual(Math.min(64, needed * 1.2));
    expect(settle({ waitMs, rate }, 20_000)).toBeLessThanOrEqual(Math.max(8, Math.ceil(needed * 2) + 4));
  });

  it('counts both waits of a chunk: a far source needs as much as a far target', () => {
    const window = new InFlight({ least: 8, start: 8, most: 64, sampleMs: 25 }, 0);
    for (let now = 10; now < 1_000; now += 10) {
      window.held();
      window.finished('read', 2 * CHUNK_SIZE, 60, now);
      window.finished('write', 2 * CHUNK_SIZE, 20, now);
    }
    expect(window.limit).toBe(32);
    expect(window.rate('write')).toBeCloseTo(CHUNK_SIZE / 5, -4);
  });

  it('never passes its bound', () => {
    expect(settle({ waitMs: 100, rate: 125_000, most: 6 }, 3_000)).toBe(6);
  });

  it('learns nothing from a copy that did not use it up', () => {
    expect(settle({ waitMs: 100, rate: 125_000, offered: 2 }, 5_000)).toBe(8);
    const window = new InFlight({ least: 8, start: 8, most: 64, sampleMs: 25 }, 0);
    for (let now = 25; now < 1_000; now += 25) {
      window.held();
      window.finished('write', 5 * CHUNK_SIZE, 50, now);
    }
    const { limit } = window;
    expect(limit).toBeGreaterThan(8);
    for (let now = 1_000; now < 9_000; now += 25) window.finished('write', 1, 50, now);
    expect(window.limit).toBe(limit);
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

  it('leaves its buffers to the next one of the thread', () => {
    const first = new BufferPool(2 * CHUNK_SIZE);
    const buffer = first.take(CHUNK_SIZE)!;
    const lost = first.take(CHUNK_SIZE)!;
    first.give(buffer);
    first.end();
    const second = new BufferPool(4 * CHUNK_SIZE);
    const taken = [second.take(CHUNK_SIZE), second.take(CHUNK_SIZE)];
    expect(taken).toContain(buffer);
    expect(taken).not.toContain(lost);
    expect(second.allocated).toBe(2 * CHUNK_SIZE);
  });
});
