import { constants } from 'node:fs';
import { copyFile, open, rename, rm } from 'node:fs/promises';
import { runTool } from '@godwit/disk';
import { GodwitError } from '@godwit/domain';
import { errorCode } from './connection.ts';

/**
 * Copies a file so that the copy shares its blocks: instant, and no space until one of them is written.
 *
 * @returns false when the file system cannot (ext4) or the copy would lie on another
 */
export async function reflink(from: string, to: string): Promise<boolean> {
  const partial = `${to}.partial`;
  try {
    await copyFile(from, partial, constants.COPYFILE_FICLONE_FORCE);
  } catch (error) {
    await rm(partial, { force: true });
    const unable = ['ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'ENOTTY', 'EXDEV', 'EINVAL', 'EBADF'];
    if (unable.includes(errorCode(error) ?? '')) return false;
    throw error;
  }
  await publish(partial, to);
  return true;
}

/**
 * Copies a disk file: shares its blocks where the file system can, else byte for byte without the holes. The copy is on
 * stable storage and appears under its name only when whole.
 *
 * @throws GodwitError TARGET_FULL, CANCELED, PLATFORM_ERROR
 */
export async function copyDisk(from: string, to: string, object: string, signal: AbortSignal): Promise<void> {
  if (await reflink(from, to)) return;
  const partial = `${to}.partial`;
  await rm(partial, { force: true });
  const args = ['--sparse=always', '--reflink=never', '--no-dereference', '--', from, partial];
  try {
    const result = await runTool('cp', args, object, { timeoutMs: 604_800_000, signal });
    if (/No space left/.test(result.stderr)) throw new GodwitError('TARGET_FULL', object);
    if (result.code !== 0) throw new GodwitError('PLATFORM_ERROR', object, { reason: result.stderr.trim() });
    await publish(partial, to);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

async function publish(partial: string, to: string): Promise<void> {
  const file = await open(partial, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(partial, to);
}
