import { setTimeout as sleep } from 'node:timers/promises';
import { type ErrorCode, GodwitError } from '@godwit/domain';
import type { CheckpointStore, LeafGroup, ReplicaProgress } from './checkpoint-store.ts';
import { type CopyLimits, type CopyPlan, type CopyProgress, type CopyResult, copyDisk } from './copy.ts';
import type { Disk } from './disk.ts';
import type { DiskAddress } from './disk-address.ts';
import { openDisk } from './open-disk.ts';
import { RateBucket } from './rate-bucket.ts';
import { ThrottledDisk } from './throttled-disk.ts';
import { PermittedDisk, WritePermit } from './write-permit.ts';

/** A copy between two addresses, as plain data: it crosses threads. */
export interface CopyJob {
  source: DiskAddress;
  target: DiskAddress;
  plan: CopyPlan;
  limits?: CopyLimits;
  /** The disk, for errors: `disk vda of web01`. */
  label?: string;
  /** `RateBucket.shared` of the limits that what is read from the source, or written to and re-read from the target, keeps to. */
  sourceBuckets?: SharedArrayBuffer[];
  targetBuckets?: SharedArrayBuffer[];
  /** `WritePermit.shared`: past it nothing is written, and the copy fails with `FENCED`. Absent: it may always. */
  permit?: SharedArrayBuffer;
}

/** What a running copy needs and tells. */
export interface CopyHooks {
  store: CheckpointStore;
  signal: AbortSignal;
  onProgress?: (progress: CopyProgress) => void;
  /** The copy goes on from its last checkpoint after this failure. */
  onRestart?: (error: GodwitError) => void;
}

/** Failures after which the disks are opened anew and the copy resumes. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  'CONNECTION_FAILED',
  'DISK_READ_FAILED',
  'DISK_WRITE_FAILED',
  'DATABASE_UNAVAILABLE',
]);
/** Pauses before the restarts that follow each other without a checkpoint between them, ms; then the failure is reported. */
const PAUSES_MS = [100, 500, 2_000];

/**
 * Opens both disks and copies, again from the checkpoint when the trouble may pass.
 *
 * @throws GodwitError what {@link copyDisk} and {@link openDisk} throw
 */
export async function runCopyJob(job: CopyJob, hooks: CopyHooks): Promise<CopyResult> {
  const store = new WatchedStore(hooks.store);
  for (let failures = 0; ; failures++) {
    try {
      return await copyOnce(job, store, hooks);
    } catch (error) {
      if (store.takeAdvance()) failures = 0;
      const pause = PAUSES_MS[failures];
      const passing = error instanceof GodwitError && PASSING.has(error.code);
      if (!passing || pause === undefined || hooks.signal.aborted) throw error;
      hooks.onRestart?.(error);
      // An abort ends the pause; the next attempt then reports it.
      await sleep(pause, undefined, { signal: hooks.signal }).catch(() => undefined);
    }
  }
}

async function copyOnce(job: CopyJob, store: CheckpointStore, hooks: CopyHooks): Promise<CopyResult> {
  const options = job.label === undefined ? {} : { label: job.label };
  const end = new AbortController();
  const signal = AbortSignal.any([hooks.signal, end.signal]);
  // Both at once: each may be round trips away.
  const opening = openDisk(job.target, options, signal);
  const opened = opening.catch(() => null);
  let source: Disk | undefined;
  try {
    source = await openDisk(job.source, options, signal);
    return await copyDisk({
      source: limited(source, job.sourceBuckets),
      target: opening.then((target) => limited(permitted(target, job), job.targetBuckets)),
      store,
      plan: job.plan,
      signal: hooks.signal,
      ...(job.limits === undefined ? {} : { limits: job.limits }),
      ...(job.label === undefined ? {} : { label: job.label }),
      ...(hooks.onProgress === undefined ? {} : { onProgress: hooks.onProgress }),
    });
  } finally {
    end.abort();
    const target = await opened;
    await Promise.all([source?.close(), target?.close()]);
  }
}

function permitted(disk: Disk, { label, permit }: CopyJob): Disk {
  return permit === undefined ? disk : new PermittedDisk(disk, new WritePermit(permit), label ?? 'disk');
}

function limited(disk: Disk, buckets: SharedArrayBuffer[] | undefined): Disk {
  if (!buckets || buckets.length === 0) return disk;
  return new ThrottledDisk(
    disk,
    buckets.map((shared) => new RateBucket(shared)),
  );
}

/** Notes whether checkpoints get anywhere. */
class WatchedStore implements CheckpointStore {
  readonly #inner: CheckpointStore;
  #lowWater = -1;
  #advanced = false;

  constructor(inner: CheckpointStore) {
    this.#inner = inner;
  }

  /** True when the low-water mark has risen since the last call. */
  takeAdvance(): boolean {
    const advanced = this.#advanced;
    this.#advanced = false;
    return advanced;
  }

  load() {
    return this.#inner.load();
  }

  readGroups(first: number, count: number) {
    return this.#inner.readGroups(first, count);
  }

  changedGroups(number: number) {
    return this.#inner.changedGroups(number);
  }

  async commit(progress: ReplicaProgress, groups: LeafGroup[]): Promise<void> {
    await this.#inner.commit(progress, groups);
    if (progress.lowWater > this.#lowWater && this.#lowWater >= 0) this.#advanced = true;
    this.#lowWater = progress.lowWater;
  }
}
