import { close as closeFile, fdatasync, open as openFile, read as readFile, write as writeFile } from 'node:fs';
import { readFile as readWholeFile, stat } from 'node:fs/promises';
import { GodwitError } from '@godwit/domain';
import type { Disk, Extent, Range } from './disk.ts';
import type { FileAddress } from './disk-address.ts';
import { inParts } from './disk-parts.ts';
import { checkRange } from './disk-range.ts';
import { type FileHoles, fileHoles } from './file-holes.ts';

export interface FileOptions {
  /** Name for errors. Default: the path. */
  label?: string;
}

/** The pool of libuv has four threads; more requests only wait there. */
const IN_FLIGHT = 8;
/** Zeroing less than that writes zeroes: a hole that small is not worth a request elsewhere. */
const MIN_HOLE = 65_536;
const BLOCK = 4_096;
/** Bytes of one hole made by one call at most: an abort waits for the call. */
const PUNCH_PART = 1_073_741_824;
const zeroes = new Uint8Array(1_048_576);

/**
 * Opens a raw file or block device.
 *
 * @throws GodwitError NOT_FOUND, FORBIDDEN, DISK_READ_FAILED
 */
export async function openFileDisk(address: FileAddress, options: FileOptions = {}): Promise<Disk> {
  const label = options.label ?? address.path;
  try {
    const info = await stat(address.path);
    const size = info.isBlockDevice() ? await deviceSize(info.rdev) : info.size;
    const holes = await fileHoles();
    const fd = await new Promise<number>((resolve, reject) => {
      openFile(address.path, address.readOnly ? 'r' : 'r+', (error, opened) =>
        error ? reject(error) : resolve(opened),
      );
    });
    return new FileDisk(fd, size, holes, info.isFile(), address, label);
  } catch (error) {
    throw openError(error, label);
  }
}

/**
 * A raw file or block device as a {@link Disk}: bytes by positional I/O in this process.
 *
 * The map of holes, and punching them, are calls of the kernel: {@link fileHoles}. Where they are missing everything is
 * data and zero() writes zeroes. A block device has no map.
 *
 * An aborted request settles when the kernel has finished with its buffer, not earlier.
 */
class FileDisk implements Disk {
  readonly size: number;
  readonly maxInFlight = IN_FLIGHT;
  readonly readOnly: boolean;
  readonly sparse: boolean;
  readonly #fd: number;
  #holes: FileHoles | null;
  readonly #path: string;
  readonly #label: string;
  #closed = false;
  #running = 0;
  #onIdle: (() => void) | null = null;

  constructor(fd: number, size: number, holes: FileHoles | null, isFile: boolean, address: FileAddress, label: string) {
    this.#fd = fd;
    this.size = size;
    this.#holes = holes;
    this.sparse = holes !== null && isFile;
    this.readOnly = address.readOnly;
    this.#path = address.path;
    this.#label = label;
  }

  async read(offset: number, into: Uint8Array, signal?: AbortSignal): Promise<void> {
    checkRange(this.size, offset, into.byteLength);
    await this.#run(signal, async () => {
      for (let done = 0; done < into.byteLength; ) {
        const bytes = await this.#readSome(offset + done, into, done);
        if (bytes === 0) throw this.#failed('DISK_READ_FAILED', offset + done, 'the file ends there');
        done += bytes;
      }
    });
  }

  async write(offset: number, from: Uint8Array, signal?: AbortSignal): Promise<void> {
    checkRange(this.size, offset, from.byteLength);
    this.#refuseWhenReadOnly(offset);
    await this.#run(signal, () => this.#writeWhole(offset, from));
  }

  async zero(offset: number, length: number, signal?: AbortSignal): Promise<void> {
    checkRange(this.size, offset, length);
    this.#refuseWhenReadOnly(offset);
    const start = Math.ceil(offset / BLOCK) * BLOCK;
    const end = offset + length - ((offset + length) % BLOCK);
    if (!this.#holes || end - start < MIN_HOLE) {
      await this.#writeZeroes(offset, length, signal);
      return;
    }
    await this.#writeZeroes(offset, start - offset, signal);
    await this.#writeZeroes(end, offset + length - end, signal);
    await inParts(start, end - start, PUNCH_PART, 1, async (at, part) => {
      let done = false;
      await this.#run(signal, async () => {
        done = await this.#punch(at, part);
      });
      if (!done) await this.#writeZeroes(at, part, signal);
    });
  }

  async flush(signal?: AbortSignal): Promise<void> {
    if (this.readOnly) return;
    await this.#run(signal, async () => {
      await new Promise<void>((resolve, reject) => {
        fdatasync(this.#fd, (error) => (error ? reject(this.#writeError(error, 0)) : resolve()));
      });
    });
  }

  async extents(offset: number, length: number, signal?: AbortSignal): Promise<Extent[]> {
    checkRange(this.size, offset, length);
    if (length === 0) return [];
    let found: Extent[] = [{ offset, length, kind: 'data' }];
    const holes = this.#holes;
    if (!holes || !this.sparse) return found;
    await this.#run(signal, async () => {
      found = await holes.extents(this.#fd, offset, length);
    });
    return found;
  }

  async changed(): Promise<Range[] | null> {
    return null;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // A descriptor closed under a request could be another file's by the time the kernel serves it.
    if (this.#running > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    await new Promise<void>((resolve) => closeFile(this.#fd, () => resolve()));
  }

  async #run(signal: AbortSignal | undefined, work: () => Promise<void>): Promise<void> {
    if (this.#closed || signal?.aborted) throw new GodwitError('CANCELED', this.#label);
    this.#running++;
    try {
      await work();
    } finally {
      this.#running--;
      if (this.#running === 0) this.#onIdle?.();
    }
    if (this.#closed || signal?.aborted) throw new GodwitError('CANCELED', this.#label);
  }

  /** False where the file system cannot; it is not asked again. */
  async #punch(offset: number, length: number): Promise<boolean> {
    if (!this.#holes) return false;
    try {
      if (await this.#holes.punch(this.#fd, offset, length)) return true;
    } catch (error) {
      throw this.#writeError(error as NodeJS.ErrnoException, offset);
    }
    this.#holes = null;
    return false;
  }

  #readSome(position: number, into: Uint8Array, at: number): Promise<number> {
    return new Promise((resolve, reject) => {
      readFile(this.#fd, into, at, into.byteLength - at, position, (error, bytes) => {
        if (error) reject(this.#failed('DISK_READ_FAILED', position, error.message, error));
        else resolve(bytes);
      });
    });
  }

  async #writeWhole(offset: number, from: Uint8Array): Promise<void> {
    for (let done = 0; done < from.byteLength; ) {
      done += await new Promise<number>((resolve, reject) => {
        writeFile(this.#fd, from, done, from.byteLength - done, offset + done, (error, bytes) => {
          if (error) reject(this.#writeError(error, offset + done));
          else resolve(bytes);
        });
      });
    }
  }

  async #writeZeroes(offset: number, length: number, signal: AbortSignal | undefined): Promise<void> {
    await inParts(offset, length, zeroes.length, 2, (at, part) => this.write(at, zeroes.subarray(0, part), signal));
  }

  #writeError(error: NodeJS.ErrnoException, offset: number): GodwitError {
    if (error.code === 'ENOSPC' || error.code === 'EDQUOT') {
      return new GodwitError('TARGET_FULL', this.#label, { offset, reason: error.code }, { cause: error });
    }
    return this.#failed('DISK_WRITE_FAILED', offset, error.message, error);
  }

  #failed(code: 'DISK_READ_FAILED' | 'DISK_WRITE_FAILED', offset: number, reason: string, cause?: Error): GodwitError {
    return new GodwitError(code, this.#label, { offset, reason }, cause === undefined ? undefined : { cause });
  }

  #refuseWhenReadOnly(offset: number): void {
    if (this.readOnly) throw this.#failed('DISK_WRITE_FAILED', offset, 'it was opened read-only');
  }
}

/** Bytes of a block device; stat says 0. */
async function deviceSize(rdev: number): Promise<number> {
  const major = (rdev >>> 8) & 0xfff;
  const minor = (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);
  return Number((await readWholeFile(`/sys/dev/block/${major}:${minor}/size`, 'utf8')).trim()) * 512;
}

function openError(error: unknown, label: string): GodwitError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT') return new GodwitError('NOT_FOUND', label, {}, { cause: error });
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return GodwitError.wrap(error, 'FORBIDDEN', label);
  }
  return GodwitError.wrap(error, 'DISK_READ_FAILED', label, { offset: 0 });
}
