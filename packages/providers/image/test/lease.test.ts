import { readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { takeLease } from '../src/lease.ts';
import { Folder } from './folder.ts';

// Leases of workers on other machines: files as those leave them, for their processes cannot be looked at from here.

const HOUR_MS = 3_600_000;

let folder: Folder;
beforeAll(async () => {
  folder = await Folder.make();
});
afterAll(async () => {
  await folder[Symbol.asyncDispose]();
});

const { signal } = new AbortController();

/** Takes it without waiting for a holder. */
const take = (disk: string) => takeLease(disk, 'replica disk', signal, 0);

/** A lease that another process renewed `ageMs` ago. */
async function leaseOf(disk: string, other: Record<string, string>, ageMs: number): Promise<void> {
  const own = await take(disk);
  const file = `${disk}.lease`;
  const holder = JSON.parse(await readFile(file, 'utf8'));
  await own.release();
  await writeFile(file, JSON.stringify({ ...holder, token: 'theirs', ...other }));
  const at = (Date.now() - ageMs) / 1_000;
  await utimes(file, at, at);
}

describe('the lease of a process that cannot be looked at', () => {
  test.each([
    ['on another machine', { host: 'elsewhere' }],
    ['on a machine of the same name, or on this one before it was started anew', { boot: 'another boot' }],
    ['in another container', { namespace: 'pid:[1]' }],
  ])('%s is lost 30 s after its last sign of life, not sooner', async (where, other) => {
    const disk = folder.at(`${where.slice(0, 14)}.raw`);
    await leaseOf(disk, other, 20_000);
    await expect(take(disk)).rejects.toMatchObject({ code: 'DISK_BUSY', kind: 'retryable' });
    await leaseAges(disk, 31_000);
    await (await take(disk)).release();
  });

  test('is not lost as long as it stands still and lives, however long that is', async () => {
    const disk = folder.at('stopped.raw');
    const stopped = await take(disk);
    const file = `${disk}.lease`;
    // The same file, so that the lock stays on it.
    await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')), namespace: 'pid:[1]' }));
    await leaseAges(disk, HOUR_MS);
    await expect(take(disk)).rejects.toMatchObject({
      code: 'DISK_BUSY',
      message: expect.stringMatching(/process \d+ in another container .* be it stopped/),
    });
    await stopped.release();
    await (await take(disk)).release();
  });

  test('is not lost to a worker whose clock is an hour ahead', async () => {
    const disk = folder.at('ahead.raw');
    await leaseOf(disk, { host: 'elsewhere' }, 0);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + HOUR_MS });
    try {
      await expect(take(disk)).rejects.toMatchObject({ code: 'DISK_BUSY' });
    } finally {
      vi.useRealTimers();
    }
  });
});

test('a lease is renewed by the time of whoever keeps the file', async () => {
  const disk = folder.at('kept.raw');
  const before = Date.now();
  vi.useFakeTimers({ toFake: ['Date'], now: before - HOUR_MS });
  try {
    const lease = await take(disk);
    await leaseAges(disk, HOUR_MS);
    while ((await stat(`${disk}.lease`)).mtimeMs < before - HOUR_MS / 2) await sleep(50);
    await lease.release();
  } finally {
    vi.useRealTimers();
  }
});

async function leaseAges(disk: string, ageMs: number): Promise<void> {
  const at = (Date.now() - ageMs) / 1_000;
  await utimes(`${disk}.lease`, at, at);
}
