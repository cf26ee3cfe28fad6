import { digestInto } from './digest.ts';
import { LEAF_SIZE } from './disk.ts';

const zeroLeaf = Buffer.alloc(LEAF_SIZE);

/**
 * Puts the digest of a leaf into `into` at `at`. Zeroes are seen before they are hashed: that costs a small part of it, and
 * most leaves of thin disks are nothing else.
 *
 * @param data at most LEAF_SIZE bytes
 * @param zeroDigest digest of as many zeroes
 * @returns whether it is zeroes
 */
export function digestLeaf(data: Uint8Array, zeroDigest: Uint8Array, into: Uint8Array, at: number): boolean {
  const zeroes = data.length === LEAF_SIZE ? zeroLeaf : zeroLeaf.subarray(0, data.length);
  const zero = Buffer.compare(data, zeroes) === 0;
  if (zero) into.set(zeroDigest, at);
  else digestInto(data, into, at);
  return zero;
}
