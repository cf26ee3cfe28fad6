import { digest } from './digest.ts';
import { DIGEST_SIZE } from './leaf-table.ts';

/**
 * Merkle root over leaf digests, built in one pass with one digest per level in memory. Parent = BLAKE3(0x01 || left ||
 * right); an odd node at the end of a level rises unchanged; no leaves: BLAKE3 of nothing.
 */
export class MerkleRoot {
  /** Complete subtrees, highest first: their heights strictly fall. */
  readonly #stack: { height: number; node: Uint8Array }[] = [];

  /** Adds `digests.length / 32` leaves. */
  addLeaves(digests: Uint8Array): void {
    for (let at = 0; at < digests.length; at += DIGEST_SIZE) {
      // A copy: slice() of a Buffer would be a view of bytes that may change.
      this.addSubtree(new Uint8Array(digests.subarray(at, at + DIGEST_SIZE)), 0);
    }
  }

  /** Adds a complete subtree of 2^height leaves. Only where the leaves so far are a multiple of that. */
  addSubtree(node: Uint8Array, height: number): void {
    let top = this.#stack.at(-1);
    if (top && top.height < height) throw new RangeError('a subtree must not follow a smaller one');
    let risen = { height, node };
    while (top && top.height === risen.height) {
      this.#stack.pop();
      risen = { height: risen.height + 1, node: merkleParent(top.node, risen.node) };
      top = this.#stack.at(-1);
    }
    this.#stack.push(risen);
  }

  root(): Uint8Array {
    const last = this.#stack.at(-1);
    if (!last) return digest(new Uint8Array(0));
    let node = last.node;
    for (let i = this.#stack.length - 2; i >= 0; i--) node = merkleParent(this.#stack[i]!.node, node);
    return node;
  }
}

/** Root of a table of digests that fits in memory. */
export function merkleRoot(digests: Uint8Array): Uint8Array {
  const tree = new MerkleRoot();
  tree.addLeaves(digests);
  return tree.root();
}

const pair = new Uint8Array(1 + 2 * DIGEST_SIZE);
pair[0] = 1;

function merkleParent(left: Uint8Array, right: Uint8Array): Uint8Array {
  pair.set(left, 1);
  pair.set(right, 1 + DIGEST_SIZE);
  return digest(pair);
}
