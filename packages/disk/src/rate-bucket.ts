/** Share of a second's bytes that may leave at once. With it no window of 1 s exceeds 1.03 times the limit. */
const BURST = 0.03;
const SECOND = 1_000_000_000n;
const BURST_NS = BigInt(BURST * 1e9);

const DUE = 0;
const RATE = 1;

/** Nanoseconds of a clock that all threads of the process share. */
export type MonotonicClock = () => bigint;

/**
 * A hard rate limit shared by any number of disks and threads (its state is shared memory). State is one number: the time
 * at which all bytes granted so far would be through at exactly the limit; a grant moves it on.
 */
export class RateBucket {
  readonly #state: BigInt64Array;
  readonly #clock: MonotonicClock;

  /**
   * @param limit bytes per second (0: unlimited), or the `shared` of the same bucket in another thread
   * @param clock default `process.hrtime.bigint`
   */
  constructor(limit: number | SharedArrayBuffer, clock: MonotonicClock = process.hrtime.bigint) {
    this.#clock = clock;
    this.#state = new BigInt64Array(typeof limit === 'number' ? new SharedArrayBuffer(16) : limit);
    if (typeof limit === 'number') this.limit = limit;
  }

  /** Pass it to another thread to use the same bucket there. */
  get shared(): SharedArrayBuffer {
    const { buffer } = this.#state;
    if (!(buffer instanceof SharedArrayBuffer)) throw new TypeError('a bucket lives in shared memory');
    return buffer;
  }

  /**
   * Bytes per second; 0: unlimited. May be changed at any time: what was granted ahead at the old limit takes its time at
   * the new one.
   */
  get limit(): number {
    return Number(Atomics.load(this.#state, RATE));
  }

  set limit(bytesPerSecond: number) {
    const rate = BigInt(Math.max(0, Math.floor(bytesPerSecond)));
    const before = Atomics.exchange(this.#state, RATE, rate);
    if (before === rate || before === 0n) return;
    for (;;) {
      const now = this.#clock();
      const due = Atomics.load(this.#state, DUE);
      if (due <= now) return;
      const next = rate === 0n ? now : now + ((due - now) * before) / rate;
      if (Atomics.compareExchange(this.#state, DUE, due, next) === due) return;
    }
  }

  /** Bytes that can be granted at once at most. */
  get largest(): number {
    const { limit } = this;
    return limit === 0 ? Number.MAX_SAFE_INTEGER : Math.max(1, Math.floor(limit * BURST));
  }

  /** Grants the bytes and returns 0, or returns the milliseconds after which to ask again. */
  take(bytes: number): number {
    const rate = Atomics.load(this.#state, RATE);
    if (rate === 0n) return 0;
    const cost = (BigInt(bytes) * SECOND) / rate;
    for (;;) {
      const now = this.#clock();
      const due = Atomics.load(this.#state, DUE);
      let next = now + cost;
      if (due > now) next = due + cost;
      // More than the burst ahead of the clock: too early. A grant larger than the burst waits until all before is through.
      const early = cost > BURST_NS ? next - cost - now : next - BURST_NS - now;
      if (early > 0n) return Math.max(1, Math.ceil(Number(early) / 1e6));
      if (Atomics.compareExchange(this.#state, DUE, due, next) === due) return 0;
    }
  }

  /** Takes a grant back that was not used. */
  giveBack(bytes: number): void {
    const rate = Atomics.load(this.#state, RATE);
    if (rate > 0n) Atomics.sub(this.#state, DUE, (BigInt(bytes) * SECOND) / rate);
  }
}
