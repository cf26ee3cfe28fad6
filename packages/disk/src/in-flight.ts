import { CHUNK_SIZE } from './disk.ts';

/** Bounds of an {@link InFlight}; in chunks of 512 KiB. */
export interface InFlightLimits {
  /** Where it starts. Default 8: fills a local link. */
  start: number;
  /** Where growth ends. Range 1 to 64; more was never faster. */
  most: number;
  /** Time to watch before a step is judged, ms. Default 100; and one window's worth of bytes at least. */
  sampleMs: number;
}

/** A raise must win this much, or it is taken back. */
const WORTHWHILE = 1.05;
/** Samples to wait after a raise that was taken back; the link may have changed by then. */
const REST = 8;

/**
 * How many chunks to keep in flight: climbs while throughput rises. Pure: told of finished bytes with the time, asked for
 * the limit.
 *
 * - *climbing*: after each sample the limit is doubled. When the last raise did not win 5 % it is taken back: resting.
 * - *resting*: nothing changes for eight samples, then one raise is tried: climbing.
 *
 * Only samples in which the limit was reached count: an idle or rate-limited copy proves nothing.
 */
export class InFlight {
  readonly #limits: InFlightLimits;
  #limit: number;
  #before = 0;
  #beforeRate = 0;
  #rest = 0;
  #sampleStart: number;
  #sampleBytes = 0;
  #reached = false;

  /** @param now ms of the caller's clock */
  constructor(limits: InFlightLimits, now: number) {
    this.#limits = limits;
    this.#limit = Math.min(limits.start, limits.most);
    this.#sampleStart = now;
  }

  /** Chunks to keep in flight at most. */
  get limit(): number {
    return this.#limit;
  }

  /** The caller had more work than the limit allowed. */
  held(): void {
    this.#reached = true;
  }

  /** Bytes were finished at `now` (ms). */
  finished(bytes: number, now: number): void {
    this.#sampleBytes += bytes;
    const elapsed = now - this.#sampleStart;
    if (elapsed < this.#limits.sampleMs || this.#sampleBytes < this.#limit * CHUNK_SIZE) return;
    const rate = this.#sampleBytes / elapsed;
    const counts = this.#reached;
    this.#sampleStart = now;
    this.#sampleBytes = 0;
    this.#reached = false;
    if (counts) this.#judge(rate);
  }

  #judge(rate: number): void {
    if (this.#rest > 0) {
      this.#rest--;
      if (this.#rest > 0) return;
      this.#before = 0;
    } else if (this.#before > 0 && rate < this.#beforeRate * WORTHWHILE) {
      this.#limit = this.#before;
      this.#before = 0;
      this.#rest = REST;
      return;
    }
    if (this.#limit >= this.#limits.most) return;
    this.#before = this.#limit;
    this.#beforeRate = rate;
    this.#limit = Math.min(this.#limits.most, this.#limit * 2);
  }
}
