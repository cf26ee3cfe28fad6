import { execFileSync } from 'node:child_process';
import { constants } from 'node:fs';
import { open, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  type CopyJob,
  CopyPool,
  type CopyProgress,
  FileCheckpointStore,
  LEAF_SIZE,
  RateBucket,
  seededRandom,
} from '../src/index.ts';
import { scratch } from './nbdkit.ts';

const MIB = 1_048_576;

function job(folder: string, change: Partial<CopyJob> = {}): CopyJob {
  return {
    source: { kind: 'file', path: join(folder, 'source'), readOnly: true },
    target: { kind: 'file', path: join(folder, 'target'), readOnly: false },
    plan: {
      mode: 'compare',
      audit: 'none',
      verify: 'whole',
      executionNumber: 1,
      snapshotKey: 's1',
      targetZeroed: true,
    },
    label: 'disk vda of web01',
    ...change,
  };
}

async function makeDisks(folder: string, size: number, seed = 1): Promise<Buffer> {
  const random = seededRandom(seed);
  const content = Buffer.alloc(size);
  for (let leaf = 0; leaf * LEAF_SIZE < size; leaf += 1 + Math.floor(random() * 2)) {
    content.fill(Math.floor(random() * 256), leaf * LEAF_SIZE, Math.min(size, (leaf + 1) * LEAF_SIZE));
    content.writeDoubleBE(random(), Math.min(size - 8, leaf * LEAF_SIZE));
  }
  await writeFile(join(folder, 'source'), content);
  await writeFile(join(folder, 'target'), '');
  await truncate(join(folder, 'target'), size);
  return content;
}

describe('a pool of copy threads', () => {
  it('copies several disks at once, each with its own store', async () => {
    const pool = new CopyPool({ copies: 3, threads: 2, idleMs: 50 });
    try {
      await Promise.all(
        [1, 2, 3, 4].map(async (seed) => {
          await using folder = await scratch();
          const content = await makeDisks(folder.path, 9 * MIB + 4_097 * seed, seed);
          const store = await FileCheckpointStore.open(join(folder.path, 'store'));
          const progress: CopyProgress[] = [];
          const result = await pool.copy(job(folder.path), {
            store,
            signal: new AbortController().signal,
            onProgress: (each) => progress.push(each),
          });
          await store.close();
          expect(result.targetRoot).toEqual(result.sourceRoot);
          expect((await readFile(join(folder.path, 'target'))).equals(content)).toBe(true);
          expect(progress.length).toBeGreaterThan(0);
        }),
      );
    } finally {
      await pool.close();
    }
  });

  it('ends a canceled copy with its finished part committed, and goes on from there', async () => {
    await using folder = await scratch();
    const content = await makeDisks(folder.path, 24 * MIB);
    const store = await FileCheckpointStore.open(join(folder.path, 'store'));
    const pool = new CopyPool({ copies: 1 });
    try {
      const bucket = new RateBucket(4 * MIB);
      const abort = new AbortController();
      const running = pool.copy(job(folder.path, { targetBuckets: [bucket.shared] }), {
        store,
        signal: abort.signal,
        onProgress: ({ doneBytes }) => {
          if (doneBytes > 4 * MIB) abort.abort();
        },
      });
      await expect(running).rejects.toMatchObject({ code: 'CANCELED' });
      const stored = await store.load();
      expect(stored?.progress?.lowWater).toBeGreaterThan(0);
      const result = await pool.copy(job(folder.path), { store, signal: new AbortController().signal });
      expect(result.counters.bytesRead).toBeLessThanOrEqual(content.length + result.counters.bytesResent);
      expect((await readFile(join(folder.path, 'target'))).equals(content)).toBe(true);
    } finally {
      await pool.close();
      await store.close();
    }
  });

  it('hands typed errors of the store and of the disks through', async () => {
    await using folder = await scratch();
    await makeDisks(folder.path, MIB);
    const store = await FileCheckpointStore.open(join(folder.path, 'store'));
    const pool = new CopyPool({ copies: 1 });
    const { signal } = new AbortController();
    try {
      const missing = job(folder.path, {
        source: { kind: 'file', path: join(folder.path, 'nothing'), readOnly: true },
      });
      await expect(pool.copy(missing, { store, signal })).rejects.toMatchObject({ code: 'NOT_FOUND' });
      const newer = await FileCheckpointStore.open(join(folder.path, 'store'), 2);
      await expect(pool.copy(job(folder.path), { store, signal })).rejects.toMatchObject({ code: 'FENCED' });
      await newer.close();
      await store.close();
    } finally {
      await pool.close();
    }
  });

  it('gives a canceled copy up that does not end, and lets the others in its thread finish', async () => {
    await using folder = await scratch();
    const content = await makeDisks(folder.path, 6 * MIB);
    const pipe = join(folder.path, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const pool = new CopyPool({ copies: 2, threads: 1 });
    const store = await FileCheckpointStore.open(join(folder.path, 'store'));
    const other = await FileCheckpointStore.open(join(folder.path, 'other'));
    try {
      const abort = new AbortController();
      // Opening a pipe that nobody writes to hangs in the kernel.
      const hanging = job(folder.path, { source: { kind: 'file', path: pipe, readOnly: true }, label: 'hanging' });
      const hung = pool.copy(hanging, { store: other, signal: abort.signal });
      const bucket = new RateBucket(2 * MIB);
      const sibling = pool.copy(job(folder.path, { targetBuckets: [bucket.shared] }), {
        store,
        signal: new AbortController().signal,
      });
      abort.abort();
      await expect(hung).rejects.toMatchObject({ code: 'CANCELED', object: 'hanging' });
      const result = await sibling;
      expect(result.targetRoot).toEqual(result.sourceRoot);
      expect((await readFile(join(folder.path, 'target'))).equals(content)).toBe(true);
      // The thread is of no more use: the next copy gets another one.
      await pool.copy(job(folder.path), { store, signal: new AbortController().signal });
    } finally {
      const release = await open(pipe, constants.O_RDWR | constants.O_NONBLOCK);
      await pool.close();
      await release.close();
      await store.close();
      await other.close();
    }
  });
});
