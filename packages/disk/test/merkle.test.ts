import { createHash, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { digest } from '../src/digest.ts';
import { MerkleRoot, merkleRoot } from '../src/merkle.ts';

/** The definition, as plainly as it can be said. */
function plainRoot(leaves: Uint8Array[]): Uint8Array {
  if (leaves.length === 0) return digest(new Uint8Array(0));
  let level = leaves;
  while (level.length > 1) {
    const above: Uint8Array[] = [];
    for (let i = 0; i < level.length; i += 2) {
      const [left, right] = [level[i]!, level[i + 1]];
      above.push(right === undefined ? left : digest(Buffer.concat([Uint8Array.of(1), left, right])));
    }
    level = above;
  }
  return level[0]!;
}

/** Leaves of a few kinds, so that equal neighbours and equal subtrees abound. */
const leaves = (kinds: readonly number[]): Uint8Array[] =>
  kinds.map((kind) => new Uint8Array(createHash('sha256').update(String(kind)).digest()));

describe('a Merkle root', () => {
  test('is that of the definition, for every number of leaves up to 300', () => {
    for (let count = 0; count <= 300; count++) {
      const all = leaves(Array.from({ length: count }, (_, i) => (i % 7 === 0 ? i : 0)));
      expect(Buffer.compare(merkleRoot(Buffer.concat(all)), plainRoot(all)), String(count)).toBe(0);
    }
  });

  test('is that of the definition, whatever leaves repeat where', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(3), { maxLength: 200 }), (kinds) => {
        const all = leaves(kinds);
        expect(Buffer.compare(merkleRoot(Buffer.concat(all)), plainRoot(all))).toBe(0);
      }),
    );
  });

  test('is the same from whole subtrees as from their leaves', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(2), { minLength: 8, maxLength: 64 }), fc.nat(3), (kinds, height) => {
        const all = leaves(kinds);
        const size = 2 ** height;
        const tree = new MerkleRoot();
        let at = 0;
        for (; at + size <= all.length; at += size) {
          tree.addSubtree(merkleRoot(Buffer.concat(all.slice(at, at + size))), height);
        }
        for (; at < all.length; at++) tree.addLeaves(all[at]!);
        expect(Buffer.compare(tree.root(), plainRoot(all))).toBe(0);
      }),
    );
  });

  test('refuses a subtree that its place does not fit', () => {
    const tree = new MerkleRoot();
    tree.addLeaves(randomBytes(32));
    expect(() => tree.addSubtree(randomBytes(32), 1)).toThrow(RangeError);
  });

  test('may be asked for and added to again, and keeps nothing of the bytes it was given', () => {
    const [a, b, c] = leaves([1, 2, 3]) as [Uint8Array, Uint8Array, Uint8Array];
    const given = Buffer.concat([a, b]);
    const tree = new MerkleRoot();
    tree.addLeaves(given);
    given.fill(0);
    expect(Buffer.compare(tree.root(), plainRoot([a, b]))).toBe(0);
    tree.root().fill(0);
    tree.addLeaves(c);
    expect(Buffer.compare(tree.root(), plainRoot([a, b, c]))).toBe(0);
  });
});
