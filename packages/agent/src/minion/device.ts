import { close, constants, fdatasync, fstat, open, read, write } from 'node:fs';
import { readdir, readFile, realpath } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { lockDevice } from './lock.ts';
import { RefusedError } from './refused.ts';

/** A device as the worker names it. */
export interface DeviceWish {
  id: string;
  /** Path below `/dev`, or of a regular file where files are allowed. */
  path?: string;
  /** Serial number, or its beginning as far as the platform shows it. */
  serial?: string;
  readOnly: boolean;
}

type Unlock = () => Promise<void>;

/** An open device and what gives its lock back. */
interface Claim {
  fd: number;
  unlock: Unlock;
}

const openFile = promisify(open);
const closeFile = promisify(close);
const statFile = promisify(fstat);
const syncFile = promisify(fdatasync);

/** A platform may cut a serial number: virtio shows 20 bytes. */
const SERIAL_BYTES = 20;
const RETRY_MS = 200;

/** A device, opened and, when it is to be written, locked. */
export class Device {
  readonly id: string;
  /** Bytes. */
  readonly size: number;
  readonly readOnly: boolean;
  /** Every request starts and ends on a multiple of it, bytes. */
  readonly block: number;
  /** Where it was found. */
  readonly path: string;
  readonly #fd: number;
  readonly #unlock: Unlock;

  private constructor(wish: DeviceWish, { fd, unlock }: Claim, size: number, block: number, path: string) {
    this.id = wish.id;
    this.readOnly = wish.readOnly;
    this.size = size;
    this.block = block;
    this.path = path;
    this.#fd = fd;
    this.#unlock = unlock;
  }

  /**
   * Finds, locks and opens it.
   *
   * @param waitMs how long it may take to appear
   * @throws RefusedError NOT_FOUND, FORBIDDEN, CONFLICT
   */
  static async open(wish: DeviceWish, allowFiles: boolean, waitMs: number): Promise<Device> {
    const path = await appeared(wish, waitMs);
    const claim = await claimDevice(wish, path, allowFiles);
    try {
      const info = await statFile(claim.fd);
      if (info.isBlockDevice()) {
        const sys = `/sys/dev/block/${major(info.rdev)}:${minor(info.rdev)}`;
        const size = Number(await readText(`${sys}/size`)) * 512;
        // A partition has the queue of its disk.
        const block = await readText(`${sys}/queue/logical_block_size`, `${sys}/../queue/logical_block_size`);
        return new Device(wish, claim, size, Number(block), path);
      }
      return new Device(wish, claim, info.size, 1, path);
    } catch (error) {
      await closeFile(claim.fd);
      await claim.unlock();
      throw error;
    }
  }

  read(offset: number, into: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      const step = (done: number): void => {
        if (done === into.length) {
          resolve();
          return;
        }
        read(this.#fd, into, done, into.length - done, offset + done, (error, bytes) => {
          if (error) reject(error);
          else if (bytes === 0) reject(new Error('the device ends there'));
          else step(done + bytes);
        });
      };
      step(0);
    });
  }

  write(offset: number, from: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      const step = (done: number): void => {
        if (done === from.length) {
          resolve();
          return;
        }
        write(this.#fd, from, done, from.length - done, offset + done, (error, bytes) => {
          if (error) reject(error);
          else step(done + bytes);
        });
      };
      step(0);
    });
  }

  async flush(): Promise<void> {
    if (!this.readOnly) await syncFile(this.#fd);
  }

  async close(): Promise<void> {
    await closeFile(this.#fd);
    await this.#unlock();
  }
}

/** Its path once it is there. */
async function appeared(wish: DeviceWish, waitMs: number): Promise<string> {
  const deadline = performance.now() + waitMs;
  for (;;) {
    const path = wish.serial === undefined ? await resolved(wish.path ?? '') : await bySerial(wish.id, wish.serial);
    if (path !== null) return path;
    const name = wish.serial === undefined ? `no ${wish.path}` : `no device with serial number ${wish.serial}`;
    if (performance.now() > deadline) throw new RefusedError('NOT_FOUND', wish.id, name);
    await sleep(RETRY_MS);
  }
}

function resolved(path: string): Promise<string | null> {
  return realpath(path).catch(() => null);
}

/** `/dev` path of the one disk with that serial number; null when there is none yet. */
async function bySerial(id: string, serial: string): Promise<string | null> {
  const found: string[] = [];
  for (const name of await readdir('/sys/block')) {
    const sys = `/sys/block/${name}`;
    const shown = (await readText(`${sys}/serial`, `${sys}/device/serial`, `${sys}/device/vpd_pg80`)) ?? '';
    // Page 80 of SCSI starts with its own header.
    const told = shown.replace(/^[^\x20-\x7e]{2,4}/, '').trim();
    const enough = told.length >= Math.min(SERIAL_BYTES, serial.length) && told.length > 0;
    if (enough && (serial.startsWith(told) || told.startsWith(serial))) found.push(`/dev/${name}`);
  }
  if (found.length > 1) {
    throw new RefusedError('CONFLICT', id, `serial number ${serial} fits ${found.sort().join(' and ')}`);
  }
  return found[0] ?? null;
}

/** Opens what a path leads to, refusing all that is not meant, and locks it when it is to be written. */
async function claimDevice(wish: DeviceWish, path: string, allowFiles: boolean): Promise<Claim> {
  const direct = path.startsWith('/dev/') ? constants.O_DIRECT : 0;
  // The path has been resolved: a link in its place now is somebody's trick. Nothing that is opened here can block.
  const guard = constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const look = await openFile(path, constants.O_RDONLY | guard).catch((error: NodeJS.ErrnoException) => {
    throw new RefusedError(error.code === 'ENOENT' ? 'NOT_FOUND' : 'FORBIDDEN', wish.id, `${path}: ${error.message}`);
  });
  const was = await statFile(look).finally(() => closeFile(look));
  const kind = was.isBlockDevice() && direct !== 0 ? 'device' : was.isFile() && allowFiles ? 'file' : null;
  if (kind === null) throw new RefusedError('FORBIDDEN', wish.id, `${path} is not a block device`);
  const name = kind === 'device' ? `d${was.rdev}` : `f${was.dev}.${was.ino}`;
  const unlock = wish.readOnly ? async () => undefined : await lockDevice(name, wish.id);
  try {
    const claimed = kind === 'device' && !wish.readOnly ? constants.O_EXCL : 0;
    const flags = (wish.readOnly ? constants.O_RDONLY : constants.O_RDWR) | guard | claimed;
    const fd = await openFile(path, flags | (kind === 'device' ? direct : 0));
    const is = await statFile(fd);
    if (is.dev === was.dev && is.ino === was.ino && is.rdev === was.rdev) return { fd, unlock };
    await closeFile(fd);
    throw new RefusedError('CONFLICT', wish.id, `${path} was replaced just now`);
  } catch (error) {
    await unlock();
    if (error instanceof RefusedError || !(error instanceof Error)) throw error;
    const busy = 'code' in error && error.code === 'EBUSY';
    const reason = busy ? `${path} is in use there (mounted, or part of another device)` : `${path}: ${error.message}`;
    throw new RefusedError(busy ? 'CONFLICT' : 'FORBIDDEN', wish.id, reason);
  }
}

/** The first of the files that is there; undefined: none. */
async function readText(...paths: string[]): Promise<string | undefined> {
  for (const path of paths) {
    const text = await readFile(path, 'latin1').catch(() => undefined);
    if (text !== undefined) return text.trim();
  }
  return undefined;
}

function major(rdev: number): number {
  return (rdev >>> 8) & 0xfff;
}

function minor(rdev: number): number {
  return (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);
}
