import { blake3 } from './blake3.ts';

/**
 * Root over leaf digests: parent = BLAKE3(0x01 || left || right), an odd node at the end of a level rises unchanged, no
 * leaves: BLAKE3 of nothing.
 *
 * @param digests 32 bytes per leaf
 */
export function merkleRoot(digests: Uint8Array): string {
  if (digests.length === 0) return Buffer.from(blake3(digests)).toString('hex');
  let level = digests;
  while (level.length > 32) {
    const next = new Uint8Array(Math.ceil(level.length / 64) * 32);
    for (let at = 0; at < level.length; at += 64) {
      const pair = level.subarray(at, at + 64);
      next.set(pair.length === 64 ? blake3(Buffer.concat([Uint8Array.of(1), pair])) : pair, at / 2);
    }
    level = next;
  }
  return Buffer.from(level).toString('hex');
}
