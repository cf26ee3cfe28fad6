import type { Disk, Extent, HashLeaves, Range } from './disk.ts';

/** Base of the wrappers: passes everything on. A wrapper overrides what concerns it. */
export abstract class WrappedDisk implements Disk {
  protected readonly inner: Disk;

  constructor(inner: Disk) {
    this.inner = inner;
  }

  get size(): number {
    return this.inner.size;
  }

  get maxInFlight(): number {
    return this.inner.maxInFlight;
  }

  get roundTripMs(): number | undefined {
    return this.inner.roundTripMs;
  }

  get readOnly(): boolean {
    return this.inner.readOnly;
  }

  get sparse(): boolean {
    return this.inner.sparse;
  }

  read(offset: number, into: Uint8Array, signal?: AbortSignal): Promise<void> {
    return this.inner.read(offset, into, signal);
  }

  write(offset: number, from: Uint8Array, signal?: AbortSignal): Promise<void> {
    return this.inner.write(offset, from, signal);
  }

  zero(offset: number, length: number, signal?: AbortSignal): Promise<void> {
    return this.inner.zero(offset, length, signal);
  }

  flush(signal?: AbortSignal): Promise<void> {
    return this.inner.flush(signal);
  }

  extents(offset: number, length: number, signal?: AbortSignal): Promise<Extent[]> {
    return this.inner.extents(offset, length, signal);
  }

  changed(offset: number, length: number, signal?: AbortSignal): Promise<Range[] | null> {
    return this.inner.changed(offset, length, signal);
  }

  get hashLeaves(): HashLeaves | undefined {
    return this.inner.hashLeaves && ((offset, length, signal) => this.inner.hashLeaves!(offset, length, signal));
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}
