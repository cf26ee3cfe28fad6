import { CHUNK_SIZE, LEAF_SIZE } from './disk.ts';

/** Sizes handed out: a request takes the smallest that fits, so that sparse 64 KiB reads do not occupy whole chunks. */
const SIZES = [LEAF_SIZE, 2 * LEAF_SIZE, 4 * LEAF_SIZE, CHUNK_SIZE];

/** Bytes that ended pools leave to the next one of this thread, at most. */
const SPARE_BYTES = 4_194_304;
const spare: Uint8Array[][] = SIZES.map(() => []);
let spareBytes = 0;

/**
 * Reusable buffers below a hard bound. Not shared between threads; a pool that ends leaves some of its buffers to the
 * next, because a thousand small disks with buffers of their own spent a third of their time collecting them.
 */
export class BufferPool {
  readonly #limit: number;
  readonly #idle: Uint8Array[][] = SIZES.map(() => []);
  #allocated = 0;

  /** @param limit bytes in all; at least one chunk */
  constructor(limit: number) {
    this.#limit = Math.max(limit, CHUNK_SIZE);
  }

  /** Bytes allocated, idle ones included. */
  get allocated(): number {
    return this.#allocated;
  }

  /** A buffer of at least `bytes` (at most one chunk), its content arbitrary; undefined when the bound is reached. */
  take(bytes: number): Uint8Array | undefined {
    const index = SIZES.findIndex((size) => size >= bytes);
    const size = SIZES[index];
    if (size === undefined) throw new RangeError(`${bytes} bytes is more than a chunk`);
    const idle = this.#idle[index]!.pop();
    if (idle) return idle;
    if (this.#allocated + size > this.#limit) this.#drop(this.#allocated + size - this.#limit);
    if (this.#allocated + size > this.#limit) return undefined;
    this.#allocated += size;
    const left = spare[index]!.pop();
    if (left) {
      spareBytes -= size;
      return left;
    }
    // Not from Node's shared slab: a slice would pin it.
    return Buffer.allocUnsafeSlow(size);
  }

  /** Takes a buffer back. */
  give(buffer: Uint8Array): void {
    this.#idle[SIZES.indexOf(buffer.byteLength)]!.push(buffer);
  }

  /** Nothing will be taken any more. */
  end(): void {
    for (const [index, list] of this.#idle.entries()) {
      for (const buffer of list.splice(0)) {
        this.#allocated -= buffer.byteLength;
        if (spareBytes + buffer.byteLength > SPARE_BYTES) continue;
        spareBytes += buffer.byteLength;
        spare[index]!.push(buffer);
      }
    }
  }

  /** Lets idle buffers go until `bytes` are free. */
  #drop(bytes: number): void {
    let left = bytes;
    for (const list of this.#idle) {
      while (left > 0) {
        const buffer = list.pop();
        if (!buffer) break;
        this.#allocated -= buffer.byteLength;
        left -= buffer.byteLength;
      }
    }
  }
}
