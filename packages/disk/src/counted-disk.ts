import type { Disk } from './disk.ts';
import { WrappedDisk } from './wrapped-disk.ts';

const READ = 0;
const WRITTEN = 1;
const ZEROED = 2;
const REQUESTS = 3;
const FLUSHES = 4;
const FIELDS = 5;

/** Counts of finished work in shared memory: written by the thread that copies, read by the one that reports. */
export class DiskCounters {
  readonly shared: SharedArrayBuffer;
  readonly #counts: BigInt64Array;

  /** @param shared the `shared` of the same counters in another thread. Default: new ones at 0 */
  constructor(shared: SharedArrayBuffer = new SharedArrayBuffer(FIELDS * 8)) {
    this.shared = shared;
    this.#counts = new BigInt64Array(shared);
  }

  /** Bytes whose read finished. */
  get read(): number {
    return Number(Atomics.load(this.#counts, READ));
  }

  /** Bytes whose write was acknowledged. */
  get written(): number {
    return Number(Atomics.load(this.#counts, WRITTEN));
  }

  /** Bytes whose zeroing was acknowledged. */
  get zeroed(): number {
    return Number(Atomics.load(this.#counts, ZEROED));
  }

  /** Reads, writes and zeroes that finished. */
  get requests(): number {
    return Number(Atomics.load(this.#counts, REQUESTS));
  }

  get flushes(): number {
    return Number(Atomics.load(this.#counts, FLUSHES));
  }

  add(what: 'read' | 'written' | 'zeroed', bytes: number): void {
    const field = what === 'read' ? READ : what === 'written' ? WRITTEN : ZEROED;
    Atomics.add(this.#counts, field, BigInt(bytes));
    Atomics.add(this.#counts, REQUESTS, 1n);
  }

  addFlush(): void {
    Atomics.add(this.#counts, FLUSHES, 1n);
  }
}

/** Counts finished bytes; what failed or is on its way does not count. */
export class CountedDisk extends WrappedDisk {
  readonly #counters: DiskCounters;

  constructor(inner: Disk, counters: DiskCounters) {
    super(inner);
    this.#counters = counters;
  }

  override async read(offset: number, into: Uint8Array, signal?: AbortSignal): Promise<void> {
    await this.inner.read(offset, into, signal);
    this.#counters.add('read', into.byteLength);
  }

  override async write(offset: number, from: Uint8Array, signal?: AbortSignal): Promise<void> {
    await this.inner.write(offset, from, signal);
    this.#counters.add('written', from.byteLength);
  }

  override async zero(offset: number, length: number, signal?: AbortSignal): Promise<void> {
    await this.inner.zero(offset, length, signal);
    this.#counters.add('zeroed', length);
  }

  override async flush(signal?: AbortSignal): Promise<void> {
    await this.inner.flush(signal);
    this.#counters.addFlush();
  }
}
