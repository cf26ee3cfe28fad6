import { WritePermit } from '@godwit/disk';
import { GodwitError } from '@godwit/domain';
import type { Logger } from 'pino';

export interface HeartOptions {
  /** Writes the heartbeat and no more; rejects when it could not. */
  beat: () => Promise<void>;
  /** What is done after a heartbeat, one at a time. However long it waits, the heartbeats go on. */
  follow?: () => Promise<void>;
  log: Logger;
  /** Milliseconds between heartbeats. Default 5,000. */
  everyMs?: number;
  /** Milliseconds without one after which this worker counts itself out. Default 20,000; takeover comes after 30,000. */
  limitMs?: number;
}

/**
 * The worker's pulse, measured by its own monotonic clock. A worker that could not tell for 20 s that it lives must assume
 * that another one takes its work over at 30 s: it stops touching disks before that, and never starts again.
 */
export class Heart {
  /** Good as long as this worker is known to live: for its copies, whose threads ask it before each write. */
  readonly permit = new WritePermit();
  readonly #options: Required<HeartOptions>;
  #following = false;
  readonly #out = new AbortController();
  #last = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #watch: NodeJS.Timeout | undefined;

  constructor(options: HeartOptions) {
    this.#options = { everyMs: 5_000, limitMs: 20_000, follow: () => Promise.resolve(), ...options };
  }

  /** Aborted once and for good when the pulse was lost, or the worker stops. */
  get signal(): AbortSignal {
    return this.#out.signal;
  }

  start(): void {
    this.#lives(performance.now());
    void this.#tick();
    this.#watch = setInterval(() => this.alive(), Math.min(500, this.#options.limitMs / 4));
  }

  /** Throws when this worker may no longer act: to be asked before each transaction and each write of a copy. */
  check(): void {
    this.alive();
    this.#out.signal.throwIfAborted();
  }

  /** True while it may act. Looks at the clock itself: after a long sleep of the process no timer has fired yet. */
  alive(): boolean {
    if (!this.#out.signal.aborted && performance.now() - this.#last > this.#options.limitMs) {
      this.#options.log.error('no heartbeat could be written: this worker counts itself out');
      this.stop(new GodwitError('FENCED', 'this worker', { owner: 'another worker', attempt: 'silent too long' }));
    }
    return !this.#out.signal.aborted;
  }

  /** Ends it; everything that listens to the signal ends too. */
  stop(reason: Error): void {
    clearTimeout(this.#timer);
    clearInterval(this.#watch);
    if (!this.#out.signal.aborted) this.#out.abort(reason);
  }

  #lives(since: number): void {
    this.#last = since;
    this.permit.extend(since + this.#options.limitMs - performance.now());
  }

  async #tick(): Promise<void> {
    // The time before the write counts: the row cannot be younger than that.
    const begun = performance.now();
    let wait = this.#options.everyMs;
    try {
      await this.#options.beat();
      // Too late is out, whatever was written: the copies have been told so already.
      if (this.alive()) this.#lives(begun);
      void this.#follow();
    } catch (error) {
      wait = Math.min(500, this.#options.everyMs);
      this.#options.log.warn({ err: error }, 'heartbeat failed');
    }
    if (!this.#out.signal.aborted) this.#timer = setTimeout(() => void this.#tick(), wait);
  }

  async #follow(): Promise<void> {
    if (this.#following || this.#out.signal.aborted) return;
    this.#following = true;
    try {
      await this.#options.follow();
    } catch (error) {
      if (!this.#out.signal.aborted)
        this.#options.log.warn({ err: error }, 'what follows a heartbeat failed; the next one does it again');
    } finally {
      this.#following = false;
    }
  }
}
