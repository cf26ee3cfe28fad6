import { GodwitError } from '@godwit/domain';
import type { Disk } from './disk.ts';
import type { MonotonicClock } from './rate-bucket.ts';
import { WrappedDisk } from './wrapped-disk.ts';

/**
 * Until when the threads of this process may write to targets: one moment in shared memory, moved on while the process can
 * prove that its work is still its own. A process that stood still wakes with the moment past, and its threads know that
 * before anybody has told them.
 */
export class WritePermit {
  readonly #until: BigInt64Array;
  readonly #clock: MonotonicClock;

  /**
   * @param shared the `shared` of the same permit in another thread. Default: a new one, past already
   * @param clock default `process.hrtime.bigint`, which all threads of a process share
   */
  constructor(shared = new SharedArrayBuffer(8), clock: MonotonicClock = process.hrtime.bigint) {
    this.#until = new BigInt64Array(shared);
    this.#clock = clock;
  }

  /** Pass it to another thread to ask the same permit there. */
  get shared(): SharedArrayBuffer {
    const { buffer } = this.#until;
    if (!(buffer instanceof SharedArrayBuffer)) throw new TypeError('a permit lives in shared memory');
    return buffer;
  }

  /** Good for that many ms from now, and no longer. */
  extend(ms: number): void {
    Atomics.store(this.#until, 0, this.#clock() + BigInt(Math.floor(ms * 1_000_000)));
  }

  get valid(): boolean {
    return this.#clock() < Atomics.load(this.#until, 0);
  }
}

/** Refuses to write with `FENCED` once the permit is past. To be the innermost wrapper: nothing may wait behind the question. */
export class PermittedDisk extends WrappedDisk {
  readonly #permit: WritePermit;
  readonly #label: string;

  /** @param label the disk, for errors */
  constructor(inner: Disk, permit: WritePermit, label: string) {
    super(inner);
    this.#permit = permit;
    this.#label = label;
  }

  override async write(offset: number, from: Uint8Array, signal?: AbortSignal): Promise<void> {
    this.#check();
    await this.inner.write(offset, from, signal);
  }

  override async zero(offset: number, length: number, signal?: AbortSignal): Promise<void> {
    this.#check();
    await this.inner.zero(offset, length, signal);
  }

  #check(): void {
    if (this.#permit.valid) return;
    throw new GodwitError('FENCED', this.#label, { owner: 'another worker', attempt: 'silent too long' });
  }
}
