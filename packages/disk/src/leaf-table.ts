import type { LeafGroup } from './checkpoint-store.ts';
import { digest } from './digest.ts';
import { LEAF_SIZE } from './disk.ts';

/** Leaves of one group: 64 MiB of disk, 32 KiB of digests. */
export const GROUP_LEAVES = 1_024;
/** Bytes of a BLAKE3 digest. */
export const DIGEST_SIZE = 32;
/** In place of a digest: what the target holds is unknown. */
export const UNKNOWN: Uint8Array = new Uint8Array(DIGEST_SIZE);

/** Adjoining leaves. */
export interface LeafRun {
  first: number;
  count: number;
}

/** The leaves of a disk: counts and true lengths. Pure arithmetic over its size in bytes. */
export class LeafLayout {
  /** Bytes. */
  readonly size: number;
  readonly leafCount: number;
  readonly groupCount: number;
  /** Digest of a whole leaf of zeroes. */
  readonly zeroDigest: Uint8Array;
  readonly #lastLength: number;
  readonly #lastZeroDigest: Uint8Array;

  constructor(size: number) {
    this.size = size;
    this.leafCount = Math.ceil(size / LEAF_SIZE);
    this.groupCount = Math.ceil(this.leafCount / GROUP_LEAVES);
    this.zeroDigest = zeroLeafDigest(LEAF_SIZE);
    this.#lastLength = size - (this.leafCount - 1) * LEAF_SIZE;
    this.#lastZeroDigest = zeroLeafDigest(this.leafCount === 0 ? 0 : this.#lastLength);
  }

  /** Bytes of one leaf: only the last one may be shorter than LEAF_SIZE. */
  leafLength(leaf: number): number {
    return leaf === this.leafCount - 1 ? this.#lastLength : LEAF_SIZE;
  }

  /** Bytes of a run of leaves, true at the end of the disk. */
  runLength(run: LeafRun): number {
    return Math.min(this.size, (run.first + run.count) * LEAF_SIZE) - run.first * LEAF_SIZE;
  }

  /** Digest that this leaf has when it holds zeroes. */
  zeroDigestOf(leaf: number): Uint8Array {
    return leaf === this.leafCount - 1 ? this.#lastZeroDigest : this.zeroDigest;
  }

  /** Leaves of a group: 1,024, fewer in the last one. */
  groupLeaves(group: number): number {
    return Math.min(GROUP_LEAVES, this.leafCount - group * GROUP_LEAVES);
  }

  /** Digests of a group that has no row: zero below `zeroedEnd` bytes, unknown above. */
  absentDigests(group: number, zeroedEnd: number): Uint8Array {
    const count = this.groupLeaves(group);
    const digests = new Uint8Array(count * DIGEST_SIZE);
    const first = group * GROUP_LEAVES;
    for (let i = 0; i < count; i++) {
      const leaf = first + i;
      if (leaf * LEAF_SIZE + this.leafLength(leaf) > zeroedEnd) break;
      digests.set(this.zeroDigestOf(leaf), i * DIGEST_SIZE);
    }
    return digests;
  }

  /** True when a group without a row is known to hold zeroes throughout. */
  absentIsZero(group: number, zeroedEnd: number): boolean {
    return Math.min(this.size, (group + 1) * GROUP_LEAVES * LEAF_SIZE) <= zeroedEnd;
  }
}

/** The rows `store.readGroups` gave, filled up: one per group, absent ones as their base says, short ones (disk grew) with unknown. */
export function fillGroup(
  layout: LeafLayout,
  group: number,
  stored: LeafGroup | undefined,
  zeroedEnd: number,
): LeafGroup {
  const count = layout.groupLeaves(group);
  const maskBytes = Math.ceil(count / 8);
  if (!stored) {
    return {
      group,
      leaves: layout.absentDigests(group, zeroedEnd),
      changedNo: 0,
      changedMask: new Uint8Array(maskBytes),
    };
  }
  const leaves = new Uint8Array(count * DIGEST_SIZE);
  leaves.set(stored.leaves.subarray(0, leaves.length));
  const changedMask = new Uint8Array(maskBytes);
  changedMask.set(stored.changedMask.subarray(0, maskBytes));
  return { group, leaves, changedNo: stored.changedNo, changedMask };
}

/** Compares 32 bytes; cheaper than Buffer.compare for so few. */
export function sameDigest(a: Uint8Array, aOffset: number, b: Uint8Array, bOffset = 0): boolean {
  for (let i = 0; i < DIGEST_SIZE; i++) if (a[aOffset + i] !== b[bOffset + i]) return false;
  return true;
}

/** True when the 32 bytes at `offset` say "unknown". */
export function isUnknown(digests: Uint8Array, offset: number): boolean {
  return sameDigest(digests, offset, UNKNOWN);
}

/** True when the bit of leaf `index` (within its group) is set. */
export function maskHas(mask: Uint8Array, index: number): boolean {
  return ((mask[index >> 3] ?? 0) & (1 << (index & 7))) !== 0;
}

/** Sets the bit of leaf `index` (within its group). */
export function maskSet(mask: Uint8Array, index: number): void {
  mask[index >> 3] = (mask[index >> 3] ?? 0) | (1 << (index & 7));
}

/**
 * Records that `number`'s execution changed leaf `index` of the group to `value`. Marks of earlier executions stay while none has
 * completed since (`completeNo`): what an aborted run changed was never verified.
 */
export function changeLeaf(
  group: LeafGroup,
  index: number,
  value: Uint8Array,
  number: number,
  completeNo: number,
): void {
  if (group.changedNo <= completeNo && group.changedNo !== number) group.changedMask.fill(0);
  group.changedNo = number;
  maskSet(group.changedMask, index);
  group.leaves.set(value, index * DIGEST_SIZE);
}

const zeroDigests = new Map<number, Uint8Array>();

function zeroLeafDigest(length: number): Uint8Array {
  let value = zeroDigests.get(length);
  if (!value) {
    value = digest(new Uint8Array(length));
    zeroDigests.set(length, value);
  }
  return value;
}
