import { crc32 } from 'node:zlib';
import type { Disk } from './disk.ts';
import { WrappedDisk } from './wrapped-disk.ts';

/** One thing done to a disk. */
export interface TraceEntry {
  /** Counts from 0 in the order in which the calls were made. */
  sequence: number;
  kind: 'write' | 'zero' | 'flush';
  offset: number;
  length: number;
  /** CRC-32 of the written bytes, 0 otherwise. */
  crc: number;
  /** How the call ended. */
  result: 'done' | 'failed';
}

/** Reports each write, zero and flush when it has ended. */
export class TracedDisk extends WrappedDisk {
  readonly #log: (entry: TraceEntry) => void;
  #sequence = 0;

  constructor(inner: Disk, log: (entry: TraceEntry) => void) {
    super(inner);
    this.#log = log;
  }

  override write(offset: number, from: Uint8Array, signal?: AbortSignal): Promise<void> {
    const crc = crc32(from);
    return this.#traced('write', offset, from.byteLength, crc, () => this.inner.write(offset, from, signal));
  }

  override zero(offset: number, length: number, signal?: AbortSignal): Promise<void> {
    return this.#traced('zero', offset, length, 0, () => this.inner.zero(offset, length, signal));
  }

  override flush(signal?: AbortSignal): Promise<void> {
    return this.#traced('flush', 0, 0, 0, () => this.inner.flush(signal));
  }

  async #traced(
    kind: TraceEntry['kind'],
    offset: number,
    length: number,
    crc: number,
    act: () => Promise<void>,
  ): Promise<void> {
    const sequence = this.#sequence++;
    let result: TraceEntry['result'] = 'failed';
    try {
      await act();
      result = 'done';
    } finally {
      this.#log({ sequence, kind, offset, length, crc, result });
    }
  }
}
