import { CHUNK_SIZE } from './disk.ts';

/** Bounds of an {@link InFlight}; in chunks of 512 KiB. */
export interface InFlightLimits {
  /** What it never goes below. Default 8: fills a local link. */
  least: number;
  /** Where it starts. */
  start: number;
  /** Where growth ends. Range 1 to 64; more was never faster. */
  most: number;
  /** Shortest time over which a rate is measured, ms. Default 25. */
  sampleMs: number;
}

/** The two waits of a chunk: for its bytes, and for the acknowledgement of its write. */
export type Stage = 'read' | 'write';

/** Twice what the path holds: room to find out that it holds more, and for what waits at its ends. */
const GAIN = 2;
/** Samples of which the best rate counts; older ones are forgotten, for the path may change. */
const SAMPLES = 16;
/** A shorter wait says more about a cache than about a path, ms. */
const SHORTEST_MS = 0.05;

/**
 * How many chunks to keep in flight: twice rate times shortest wait, summed over both stages. By Little's law half of that
 * keeps the slowest part of the path busy at the rate seen; the other half lets a rate that is still held back by the
 * limit double with each round trip. Pure: told of finished requests with the time, asked for the limit.
 *
 * A local path waits a millisecond and stays at the least; 1 Gb/s over 100 ms goes to 48 within four round trips. Climbing
 * by trial (doubling, taking back what did not win 5 %) was tried before: one slow flush in a sample held it down for
 * seconds.
 */
export class InFlight {
  #limits: InFlightLimits;
  readonly #stages: Record<Stage, Sampled> = { read: new Sampled(), write: new Sampled() };
  #limit: number;
  #sampleStart: number;
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

  /** Best rate of late at which a stage finished, bytes per ms; 0: not known yet. */
  rate(stage: Stage): number {
    return this.#stages[stage].rate;
  }

  /** More is known of the path: other bounds, and at least their start. */
  extend(limits: InFlightLimits): void {
    this.#limits = limits;
    this.#limit = Math.min(limits.most, Math.max(this.#limit, limits.start));
  }

  /** The caller had more work than the limit allowed. */
  held(): void {
    this.#reached = true;
  }

  /** A request was finished at `now` (ms) after `took` ms. */
  finished(stage: Stage, bytes: number, took: number, now: number): void {
    this.#stages[stage].add(bytes, took);
    const { read, write } = this.#stages;
    const elapsed = now - this.#sampleStart;
    const shortest = Math.min(read.shortest, write.shortest);
    if (elapsed < Math.max(this.#limits.sampleMs, shortest)) return;
    read.sample(elapsed);
    write.sample(elapsed);
    this.#sampleStart = now;
    const wanted = Math.ceil((GAIN * (read.held + write.held)) / CHUNK_SIZE);
    const limit = Math.min(this.#limits.most, Math.max(this.#limits.least, wanted));
    // A copy that did not use its limit up says nothing about a lower one.
    if (limit > this.#limit || this.#reached) this.#limit = limit;
    this.#reached = false;
  }
}

/** Rates and waits of one stage. */
class Sampled {
  readonly #rates: number[] = [];
  #bytes = 0;
  shortest = Number.POSITIVE_INFINITY;

  add(bytes: number, took: number): void {
    this.#bytes += bytes;
    this.shortest = Math.min(this.shortest, Math.max(SHORTEST_MS, took));
  }

  sample(elapsed: number): void {
    this.#rates.push(this.#bytes / elapsed);
    this.#bytes = 0;
    if (this.#rates.length > SAMPLES) this.#rates.shift();
  }

  get rate(): number {
    return Math.max(0, ...this.#rates);
  }

  /** Bytes that this stage holds at that rate when nothing queues. */
  get held(): number {
    return this.#rates.length === 0 || this.rate === 0 ? 0 : this.rate * this.shortest;
  }
}
