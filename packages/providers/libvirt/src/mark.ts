import { createHash } from 'node:crypto';
import { GodwitError } from '@godwit/domain';

/** Every name made by Godwit on a host begins so: checkpoints, bitmaps, scratch files, disks. */
export const PREFIX = 'godwit-';
/** Namespace of the element that marks a domain as ours. */
export const INSTANCE_MARK = 'https://godwit.dev/xmlns/libvirt/instance/1';

/** @throws GodwitError INVALID_INPUT: keys stand in names and file names */
export function checkKey(key: string): string {
  if (/^[a-z0-9-]{1,40}$/.test(key)) return key;
  throw new GodwitError('INVALID_INPUT', 'key', { reason: 'a key has 1 to 40 of the characters a-z, 0-9 and -' });
}

/** Name of the checkpoint, and of the bitmap in each disk, of a snapshot: the token. */
export function checkpointName(key: string): string {
  return PREFIX + checkKey(key);
}

/** True for tokens and names that Godwit made. */
export function isOurs(name: string): boolean {
  return /^godwit-[a-z0-9-]{1,40}$/.test(name);
}

/** The same UUID for the same text, always. */
export function uuidOf(text: string): string {
  const hash = createHash('sha256').update(`godwit:${text}`).digest();
  hash[6] = (hash[6]! & 0x0f) | 0x80;
  hash[8] = (hash[8]! & 0x3f) | 0x80;
  const hex = hash.subarray(0, 16).toString('hex');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
