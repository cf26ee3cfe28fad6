import { setTimeout as sleep } from 'node:timers/promises';
import { GodwitError } from '@godwit/domain';
import type { Disk } from './disk.ts';
import type { RateBucket } from './rate-bucket.ts';
import { WrappedDisk } from './wrapped-disk.ts';

/** Pieces end on such a boundary, so that servers with large blocks need not read before writing. */
const ALIGN = 4_096;

/** A limit may be raised while somebody waits for a grant under the old one: ask again that soon, ms. */
const ASK_AGAIN_MS = 500;

/**
 * Keeps reads and writes within every one of the buckets. Requests larger than a bucket's burst go in pieces; zeroes
 * send no bytes and are free. Bytes are granted by all buckets at the same moment or by none, so none is overrun by
 * requests that another one held back.
 *
 * Limits below about 140 KB/s are exceeded by single pieces of 4 KiB within a window of 1 s, never on average.
 */
export class ThrottledDisk extends WrappedDisk {
  readonly #buckets: readonly RateBucket[];
  #queue: Promise<unknown> = Promise.resolve();

  constructor(inner: Disk, buckets: readonly RateBucket[]) {
    super(inner);
    this.#buckets = buckets;
  }

  override read(offset: number, into: Uint8Array, signal?: AbortSignal): Promise<void> {
    return this.#inPieces(into, signal, (at, piece) => this.inner.read(offset + at, piece, signal));
  }

  override write(offset: number, from: Uint8Array, signal?: AbortSignal): Promise<void> {
    return this.#inPieces(from, signal, (at, piece) => this.inner.write(offset + at, piece, signal));
  }

  async #inPieces(
    bytes: Uint8Array,
    signal: AbortSignal | undefined,
    one: (at: number, piece: Uint8Array) => Promise<void>,
  ): Promise<void> {
    const running: Promise<void>[] = [];
    try {
      for (let at = 0; at < bytes.byteLength; ) {
        const length = Math.min(this.#largest(), bytes.byteLength - at);
        await this.#granted(length, signal);
        const started = one(at, bytes.subarray(at, at + length));
        started.catch(() => undefined);
        running.push(started);
        at += length;
      }
    } finally {
      await Promise.allSettled(running);
    }
    await Promise.all(running);
  }

  #largest(): number {
    const largest = Math.min(...this.#buckets.map((bucket) => bucket.largest));
    return Math.max(ALIGN, largest - (largest % ALIGN));
  }

  /** First come, first served within this disk. */
  #granted(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    const turn = this.#queue.then(() => this.#takeAll(bytes, signal));
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  async #takeAll(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    for (;;) {
      if (signal?.aborted) throw new GodwitError('CANCELED', 'a throttled request');
      let wait = 0;
      const taken: RateBucket[] = [];
      for (const bucket of this.#buckets) {
        wait = bucket.take(bytes);
        if (wait > 0) break;
        taken.push(bucket);
      }
      if (wait === 0) return;
      for (const bucket of taken) bucket.giveBack(bytes);
      // An abort ends the sleep; the loop then reports it.
      await sleep(Math.min(wait, ASK_AGAIN_MS), undefined, signal ? { signal } : {}).catch(() => undefined);
    }
  }
}
