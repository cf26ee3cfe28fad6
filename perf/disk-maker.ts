import { createCipheriv, createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';

/** Bytes of a leaf: the unit of change. */
export const LEAF = 65_536;
const MIB = 1_048_576;

/** A run of written bytes of a made disk; both multiples of a leaf. */
export interface WrittenRun {
  offset: number;
  length: number;
}

/** What a made disk is like. The same values give the same bytes on every machine. */
export interface DiskRecipe {
  seed: string;
  /** Virtual bytes, a multiple of a leaf. */
  size: number;
  /** Written bytes, a multiple of a leaf, at most `size`. */
  data: number;
}

/** How changes lie on the disk: evenly spread leaves, a few hot places, or one stretch that grows. */
export type ChangePattern = 'uniform' | 'zipf' | 'log';

/** Random numbers that depend on the seed alone (splitmix32 over a hash of it). */
export function randomOf(seed: string): () => number {
  let state = createHash('sha256').update(seed).digest().readUInt32LE(0);
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let value = state;
    value = Math.imul(value ^ (value >>> 16), 0x21f0aaad);
    value = Math.imul(value ^ (value >>> 15), 0x735a2d97);
    return ((value ^ (value >>> 15)) >>> 0) / 4_294_967_296;
  };
}

/** Where the data lies: runs of 64 KiB to 32 MiB (each size class equally likely), gaps spread over the rest. */
export function layOut({ seed, size, data }: DiskRecipe): WrittenRun[] {
  const random = randomOf(`${seed}/layout`);
  const lengths: number[] = [];
  for (let left = data; left > 0; ) {
    const length = Math.min(left, LEAF * 2 ** Math.floor(random() * 10));
    lengths.push(length);
    left -= length;
  }
  const weights = lengths.map(() => random());
  const sum = weights.reduce((total, weight) => total + weight, 0) || 1;
  const runs: WrittenRun[] = [];
  let offset = 0;
  for (const [index, length] of lengths.entries()) {
    offset += Math.floor((((weights[index] ?? 0) / sum) * (size - data)) / LEAF) * LEAF;
    const last = runs.at(-1);
    if (last !== undefined && last.offset + last.length === offset) last.length += length;
    else runs.push({ offset, length });
    offset += length;
  }
  return runs;
}

/** Makes the disk as a sparse raw file. Half of the leaves hold random bytes, half compressible text; none is zero. */
export async function makeDisk(path: string, recipe: DiskRecipe): Promise<WrittenRun[]> {
  const file = await open(path, 'w');
  try {
    await file.truncate(recipe.size);
    const runs = layOut(recipe);
    const bytes = new ByteMaker(recipe.seed);
    for (const run of runs) await bytes.write(file, run);
    return runs;
  } finally {
    await file.close();
  }
}

/**
 * Which leaves change: `count` different ones among those that hold data.
 *
 * @returns runs in ascending order, adjoining ones joined
 */
export function chooseChanges(
  runs: readonly WrittenRun[],
  count: number,
  pattern: ChangePattern,
  seed: string,
): WrittenRun[] {
  const random = randomOf(`${seed}/${pattern}`);
  const leaves = runs.flatMap((run) =>
    Array.from({ length: run.length / LEAF }, (_, index) => run.offset / LEAF + index),
  );
  const chosen = new Set<number>();
  if (pattern === 'log') {
    const start = Math.floor(random() * (leaves.length - count));
    for (const leaf of leaves.slice(start, start + count)) chosen.add(leaf);
  }
  const places = Array.from({ length: 16 }, () => Math.floor(random() * leaves.length));
  while (chosen.size < Math.min(count, leaves.length)) {
    const place = places[Math.floor(places.length * random() ** 3)] ?? 0;
    const index = pattern === 'zipf' ? place + Math.floor(256 * random() ** 2) : Math.floor(random() * leaves.length);
    const leaf = leaves[index % leaves.length];
    if (leaf !== undefined) chosen.add(leaf);
  }
  const changed: WrittenRun[] = [];
  for (const leaf of [...chosen].sort((a, b) => a - b)) {
    const last = changed.at(-1);
    if (last !== undefined && last.offset + last.length === leaf * LEAF) last.length += LEAF;
    else changed.push({ offset: leaf * LEAF, length: LEAF });
  }
  return changed;
}

/** Writes new bytes over the runs. Another seed gives other bytes. */
export async function rewrite(path: string, runs: readonly WrittenRun[], seed: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const bytes = new ByteMaker(seed);
    for (const run of runs) await bytes.write(file, run);
  } finally {
    await file.close();
  }
}

/** Bytes by seed: a cipher's key stream, and every second leaf turned into text of a small alphabet. */
class ByteMaker {
  private readonly cipher;
  private readonly zeroes = Buffer.alloc(MIB);
  private leaf = 0;

  constructor(seed: string) {
    const key = createHash('sha256').update(`${seed}/bytes`).digest();
    this.cipher = createCipheriv('aes-128-ctr', key.subarray(0, 16), key.subarray(16));
  }

  async write(file: FileHandle, run: WrittenRun): Promise<void> {
    for (let done = 0; done < run.length; done += MIB) {
      const bytes = this.cipher.update(this.zeroes.subarray(0, Math.min(MIB, run.length - done)));
      for (let at = 0; at < bytes.length; at += LEAF) {
        this.leaf += 1;
        if (this.leaf % 2 === 0) toText(bytes.subarray(at, at + LEAF));
      }
      await file.write(bytes, 0, bytes.length, run.offset + done);
    }
  }
}

/** Keeps the first 4 KiB and repeats their low bits as letters: zstd makes it about a tenth. */
function toText(leaf: Buffer): void {
  for (let index = 0; index < 4_096; index += 1) leaf[index] = 97 + ((leaf[index] ?? 0) & 15);
  for (let at = 4_096; at < leaf.length; at *= 2) leaf.copyWithin(at, 0, at);
}
