import { setTimeout as sleep } from 'node:timers/promises';
import { GodwitError } from '@godwit/domain';
import type { Disk, HashLeaves } from './disk.ts';
import { WrappedDisk } from './wrapped-disk.ts';

/** How often each fault strikes a request, 0 to 1. Absent: never. */
export interface Faults {
  /** Same seed and same order of calls: same faults. */
  seed: number;
  /** A read, write, zero or flush rejects; half of the failed writes happen all the same. */
  error?: number;
  /** Digests that the far side computed are cut short. */
  truncateHashes?: number;
  /** A request takes up to `maxDelayMs` longer. */
  delay?: number;
  /** Default 20. */
  maxDelayMs?: number;
  /** A write is acknowledged and never happens. */
  dropWrite?: number;
  /** A write happens again after the next write, over whatever is there by then. */
  duplicateWrite?: number;
  /** A write is acknowledged and happens only after the next write; a flush in between does not wait for it. */
  reorder?: number;
  /** One bit of written or read data, or of digests, is wrong. */
  flipBit?: number;
}

/** Fails on purpose, reproducibly: what the copy engine must survive (errors, delays) or detect (the rest). */
export class FaultyDisk extends WrappedDisk {
  readonly #faults: Faults;
  readonly #random: () => number;
  readonly #late: (() => Promise<void>)[] = [];
  /** Faults that struck so far, by name. */
  readonly struck: Record<string, number> = {};

  constructor(inner: Disk, faults: Faults) {
    super(inner);
    this.#faults = faults;
    this.#random = seededRandom(faults.seed);
  }

  override async read(offset: number, into: Uint8Array, signal?: AbortSignal): Promise<void> {
    await this.#delayed(signal);
    if (this.#strikes('error')) throw failure('DISK_READ_FAILED', offset);
    await this.inner.read(offset, into, signal);
    if (this.#strikes('flipBit')) this.#flip(into);
  }

  override async write(offset: number, from: Uint8Array, signal?: AbortSignal): Promise<void> {
    await this.#delayed(signal);
    if (this.#strikes('error')) {
      if (this.#random() < 0.5) await this.inner.write(offset, from, signal);
      throw failure('DISK_WRITE_FAILED', offset);
    }
    if (this.#strikes('dropWrite')) return;
    const late = this.#late.splice(0);
    if (this.#strikes('reorder')) {
      const kept = new Uint8Array(from);
      this.#late.push(() => this.inner.write(offset, kept));
    } else if (this.#strikes('duplicateWrite')) {
      const kept = new Uint8Array(from);
      await this.inner.write(offset, from, signal);
      this.#late.push(() => this.inner.write(offset, kept));
    } else if (this.#strikes('flipBit')) {
      const wrong = new Uint8Array(from);
      this.#flip(wrong);
      await this.inner.write(offset, wrong, signal);
    } else {
      await this.inner.write(offset, from, signal);
    }
    for (const write of late) await write();
  }

  override async zero(offset: number, length: number, signal?: AbortSignal): Promise<void> {
    await this.#delayed(signal);
    if (this.#strikes('error')) throw failure('DISK_WRITE_FAILED', offset);
    if (this.#strikes('dropWrite')) return;
    await this.inner.zero(offset, length, signal);
  }

  override async flush(signal?: AbortSignal): Promise<void> {
    await this.#delayed(signal);
    if (this.#strikes('error')) throw failure('DISK_WRITE_FAILED', 0);
    await this.inner.flush(signal);
  }

  override get hashLeaves(): HashLeaves | undefined {
    const inner = super.hashLeaves;
    return (
      inner &&
      (async (offset, length, signal) => {
        await this.#delayed(signal);
        if (this.#strikes('error')) throw failure('DISK_READ_FAILED', offset);
        const told = await inner(offset, length, signal);
        if (this.#strikes('flipBit')) this.#flip(told);
        return this.#strikes('truncateHashes') ? told.subarray(0, Math.floor(this.#random() * told.length)) : told;
      })
    );
  }

  #strikes(fault: Exclude<keyof Faults, 'seed' | 'maxDelayMs'>): boolean {
    const rate = this.#faults[fault] ?? 0;
    if (rate === 0 || this.#random() >= rate) return false;
    this.struck[fault] = (this.struck[fault] ?? 0) + 1;
    return true;
  }

  #flip(bytes: Uint8Array): void {
    const at = Math.floor(this.#random() * bytes.byteLength);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(this.#random() * 8));
  }

  async #delayed(signal: AbortSignal | undefined): Promise<void> {
    if (!this.#strikes('delay')) return;
    const ms = this.#random() * (this.#faults.maxDelayMs ?? 20);
    await sleep(ms, undefined, signal ? { signal } : {}).catch((error) => {
      throw GodwitError.wrap(error, 'CANCELED', 'a delayed request');
    });
  }
}

function failure(code: 'DISK_READ_FAILED' | 'DISK_WRITE_FAILED', offset: number): GodwitError {
  return new GodwitError(code, 'a faulty disk', { offset, reason: 'failed on purpose' });
}

/** mulberry32: small, fast, good enough to choose faults. Numbers from 0 up to 1. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}
