import { constants } from 'node:fs';
import { copyFile, open, rename, rm } from 'node:fs/promises';
import { runTool } from '@godwit/disk';
import { GodwitError } from '@godwit/domain';
import type { ProviderContext } from '@godwit/provider';
import { errorCode, statOrNull } from './connection.ts';

/** How often a long copy says how far it is, ms. */
const SAY_MS = 5_000;

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
 * stable storage and appears under its name only when whole. Says every few seconds how far it is.
 *
 * @throws GodwitError TARGET_FULL, CANCELED, PLATFORM_ERROR
 */
export async function copyDisk(
  ctx: Pick<ProviderContext, 'signal' | 'progress'>,
  from: string,
  to: string,
  object: string,
): Promise<void> {
  if (await reflink(from, to)) return;
  const partial = `${to}.partial`;
  await rm(partial, { force: true });
  const args = ['--sparse=always', '--reflink=never', '--no-dereference', '--', from, partial];
  const saying = setInterval(() => {
    // The copy itself tells what is wrong with the files.
    sayProgress(ctx, from, partial, object).catch(() => clearInterval(saying));
  }, SAY_MS);
  try {
    const result = await runTool('cp', args, object, { timeoutMs: 604_800_000, signal: ctx.signal });
    if (/No space left/.test(result.stderr)) throw new GodwitError('TARGET_FULL', object);
    if (result.code !== 0) throw new GodwitError('PLATFORM_ERROR', object, { reason: result.stderr.trim() });
    await publish(partial, to);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  } finally {
    clearInterval(saying);
  }
}

async function sayProgress(
  ctx: Pick<ProviderContext, 'progress'>,
  from: string,
  partial: string,
  object: string,
): Promise<void> {
  const [source, copy] = [await statOrNull(from), await statOrNull(partial)];
  if (source === null || copy === null) return;
  const mebibytes = (blocks: number) => Math.floor((blocks * 512) / 1_048_576);
  ctx.progress(`Copying ${object}: ${mebibytes(copy.blocks)} of ${mebibytes(source.blocks)} MiB`);
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
