import { digest } from './digest.ts';
import { DIGEST_SIZE } from './leaf-table.ts';

/** Heights of a tree: 2^52 leaves are more than any disk has. */
const HEIGHTS = 53;

/**
 * Merkle root over leaf digests, built in one pass with one digest per level in memory. Parent = BLAKE3(0x01 || left ||
 * right); an odd node at the end of a level rises unchanged; no leaves: BLAKE3 of nothing.
 *
 * Most of a sparse disk is one digest repeated: the parent of two equal nodes is remembered per height, so that a run of
 * zero leaves costs comparisons instead of hashes (a third of a second per 16 GiB of nothing).
 */
export class MerkleRoot {
  /** By height: the complete subtree that waits for its right neighbour, as bits of a binary counter. */
  readonly #nodes = new Uint8Array(HEIGHTS * DIGEST_SIZE);
  readonly #waiting: boolean[] = new Array<boolean>(HEIGHTS).fill(false);
  /** By height: a node and the parent of two of it. */
  readonly #twins = new Uint8Array(HEIGHTS * DIGEST_SIZE);
  readonly #twinParents: (Uint8Array | undefined)[] = new Array<undefined>(HEIGHTS).fill(undefined);
  /** The lowest height that waits; HEIGHTS: none. */
  #lowest = HEIGHTS;

  /** Adds `digests.length / 32` leaves. */
  addLeaves(digests: Uint8Array): void {
    for (let at = 0; at < digests.length; at += DIGEST_SIZE) this.#add(digests, at, 0);
  }

  /** Adds a complete subtree of 2^height leaves. Only where the leaves so far are a multiple of that. */
  addSubtree(node: Uint8Array, height: number): void {
    if (this.#lowest < height) throw new RangeError('a subtree must not follow a smaller one');
    this.#add(node, 0, height);
  }

  root(): Uint8Array {
    if (this.#lowest === HEIGHTS) return digest(new Uint8Array(0));
    let node: Uint8Array = this.#nodeAt(this.#lowest).slice();
    for (let height = this.#lowest + 1; height < HEIGHTS; height++) {
      if (this.#waiting[height]) node = merkleParent(this.#nodeAt(height), node);
    }
    return node;
  }

  #add(from: Uint8Array, at: number, height: number): void {
    let node = from;
    let offset = at;
    let level = height;
    while (this.#waiting[level]) {
      node = this.#parent(level, node, offset);
      offset = 0;
      this.#waiting[level] = false;
      level++;
    }
    for (let i = 0; i < DIGEST_SIZE; i++) this.#nodes[level * DIGEST_SIZE + i] = node[offset + i]!;
    this.#waiting[level] = true;
    this.#lowest = level;
  }

  /** The parent of the node that waits at `level` and of the one at `offset` of `right`. */
  #parent(level: number, right: Uint8Array, offset: number): Uint8Array {
    const place = level * DIGEST_SIZE;
    if (!same(this.#nodes, place, right, offset)) {
      return merkleParent(this.#nodeAt(level), right.subarray(offset, offset + DIGEST_SIZE));
    }
    const known = this.#twinParents[level];
    if (known !== undefined && same(this.#twins, place, right, offset)) return known;
    const left = this.#nodeAt(level);
    const parent = merkleParent(left, left);
    this.#twins.set(left, place);
    this.#twinParents[level] = parent;
    return parent;
  }

  #nodeAt(level: number): Uint8Array {
    return this.#nodes.subarray(level * DIGEST_SIZE, (level + 1) * DIGEST_SIZE);
  }
}

/** Root over 2^height equal leaves. */
export function uniformRoot(leaf: Uint8Array, height: number): Uint8Array {
  let node = leaf;
  for (let i = 0; i < height; i++) node = merkleParent(node, node);
  return node;
}

/** Root of a table of digests that fits in memory. */
export function merkleRoot(digests: Uint8Array): Uint8Array {
  const tree = new MerkleRoot();
  tree.addLeaves(digests);
  return tree.root();
}

function same(a: Uint8Array, atA: number, b: Uint8Array, atB: number): boolean {
  for (let i = 0; i < DIGEST_SIZE; i++) if (a[atA + i] !== b[atB + i]) return false;
  return true;
}

const pair = new Uint8Array(1 + 2 * DIGEST_SIZE);
pair[0] = 1;

function merkleParent(left: Uint8Array, right: Uint8Array): Uint8Array {
  pair.set(left, 1);
  pair.set(right, 1 + DIGEST_SIZE);
  return digest(pair);
}
