import { lstat, open } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GodwitError } from '@godwit/domain';
import { errorCode } from './connection.ts';

/** What tells that a file is the same and unchanged. Decimal text: nanoseconds do not fit in a number. */
export interface Stamp {
  /** Below the endpoint's folder. */
  path: string;
  device: string;
  inode: string;
  size: string;
  mtime_ns: string;
  ctime_ns: string;
}

/** Two writes closer than that may get the same time: the kernel's clock for files ticks every 1 to 10 ms. */
const TICK_NS = 50_000_000n;
/** 60 ms each. */
const MAX_ROUNDS = 100;

/**
 * Stamps files so that any later write shows. The content is first brought to the disk: a page that is dirty already
 * could be written again through a memory map without a new time. Then the last change must be older than a tick.
 *
 * @throws GodwitError CONFLICT when something writes them all the time
 */
export async function stampFiles(root: string, paths: readonly string[], object: string): Promise<Stamp[]> {
  for (const path of paths) {
    const file = await open(path, 'r');
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  }
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const stats = await Promise.all(paths.map(async (path) => ({ path, info: await lstat(path, { bigint: true }) })));
    const now = BigInt(Date.now()) * 1_000_000n;
    const fresh = stats.some(({ info }) => {
      const age = now - info.ctimeNs;
      return age > -TICK_NS && age < TICK_NS;
    });
    if (!fresh) {
      return stats.map(({ path, info }) => ({
        path: relative(root, path),
        device: String(info.dev),
        inode: String(info.ino),
        size: String(info.size),
        mtime_ns: String(info.mtimeNs),
        ctime_ns: String(info.ctimeNs),
      }));
    }
    await sleep(60);
  }
  throw new GodwitError('CONFLICT', object, { reason: 'its files are being written; stop what writes them' });
}

/** Path of the first file that is not as it was stamped, or null. */
export async function changedSince(root: string, stamps: readonly Stamp[]): Promise<string | null> {
  for (const stamp of stamps) {
    try {
      const info = await lstat(join(root, stamp.path), { bigint: true });
      const same =
        info.isFile() &&
        String(info.dev) === stamp.device &&
        String(info.ino) === stamp.inode &&
        String(info.size) === stamp.size &&
        String(info.mtimeNs) === stamp.mtime_ns &&
        String(info.ctimeNs) === stamp.ctime_ns;
      if (!same) return stamp.path;
    } catch (error) {
      if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return stamp.path;
      throw error;
    }
  }
  return null;
}
