import { digestInto } from '../src/digest.ts';
import { type Disk, LEAF_SIZE } from '../src/index.ts';
import { WrappedDisk } from '../src/wrapped-disk.ts';

/** A disk that hashes its leaves itself, as an agent's does, and counts what it was asked for. */
export class HashingDisk extends WrappedDisk {
  /** Ranges asked for, in order. */
  readonly asked: { offset: number; length: number }[] = [];
  /** Bytes read through it; what was hashed is not counted. */
  bytesRead = 0;

  override read(offset: number, into: Uint8Array, signal?: AbortSignal): Promise<void> {
    this.bytesRead += into.byteLength;
    return super.read(offset, into, signal);
  }

  override get hashLeaves(): NonNullable<Disk['hashLeaves']> {
    return async (offset, length, signal) => {
      this.asked.push({ offset, length });
      const bytes = new Uint8Array(length);
      await super.read(offset, bytes, signal);
      const digests = new Uint8Array(Math.ceil(length / LEAF_SIZE) * 32);
      for (let at = 0, leaf = 0; at < length; at += LEAF_SIZE, leaf++) {
        digestInto(bytes.subarray(at, at + LEAF_SIZE), digests, leaf * 32);
      }
      return digests;
    };
  }
}
