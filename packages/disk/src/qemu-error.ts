import { GodwitError } from '@godwit/domain';

/** True when another process (often a dying predecessor) still holds the image's lock. */
export function isImageLocked(stderr: string): boolean {
  return /Failed to get .*lock/i.test(stderr);
}

/** What qemu-img or qemu-nbd said, as one of ours. */
export function qemuError(stderr: string, object: string, path: string, format: string): GodwitError {
  const lines = stderr.trim().split('\n');
  const reason = (lines.at(-1) ?? '').replace(/^qemu-(img|nbd|io): /, '').slice(0, 500) || 'no message';
  const bitmap = /Bitmap '([^']*)' is not found/.exec(stderr)?.[1];
  if (bitmap !== undefined) return new GodwitError('NOT_FOUND', `dirty bitmap ${bitmap} of ${object}`);
  if (/No such file or directory/.test(stderr)) return new GodwitError('NOT_FOUND', `${object} (${path})`);
  if (/No space left on device/.test(stderr)) return new GodwitError('TARGET_FULL', object, { reason });
  if (/Permission denied/.test(stderr)) return new GodwitError('FORBIDDEN', object, { reason });
  if (isImageLocked(stderr)) {
    return new GodwitError('CONFLICT', object, { reason: 'another process holds the lock of its image' });
  }
  if (/Input\/output error/.test(stderr)) return new GodwitError('DISK_READ_FAILED', object, { offset: 0, reason });
  return new GodwitError('DISK_CORRUPT', object, { format, reason });
}
