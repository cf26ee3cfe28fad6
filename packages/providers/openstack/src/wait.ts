import { setTimeout as sleep } from 'node:timers/promises';
import { GodwitError } from '@godwit/domain';
import type { Cloud } from './client/cloud.ts';

export interface WaitOptions {
  object: string;
  /** What is waited for, for the error: `available`. */
  until: string;
  /** Seconds after which it is given up. */
  seconds: number;
  /** Milliseconds between two looks. Default 1,000. */
  everyMs?: number;
}

/**
 * Looks until `done` says so; what `done` throws ends it.
 *
 * @throws GodwitError PLATFORM_ERROR (it takes too long), CANCELED
 */
export async function waitUntil<T>(
  signal: AbortSignal,
  options: WaitOptions,
  look: () => Promise<T>,
  done: (seen: T) => boolean,
): Promise<T> {
  const end = performance.now() + options.seconds * 1000;
  for (;;) {
    const seen = await look();
    if (done(seen)) return seen;
    if (performance.now() > end) {
      const reason = `it did not become ${options.until} within ${options.seconds} s`;
      throw new GodwitError('PLATFORM_ERROR', options.object, { reason });
    }
    await sleep(options.everyMs ?? 1_000, undefined, { signal }).catch((cause: unknown) => {
      throw new GodwitError('CANCELED', options.object, {}, { cause });
    });
  }
}

/**
 * What all give, once all have ended: nobody makes anything any more when a failure is reported and cleaned up after. The
 * first failure of the list is thrown.
 */
export async function allOf<T extends readonly Promise<unknown>[] | []>(
  acts: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(acts);
  return Promise.all(acts);
}

/** What `look` finds, or null where it is NOT_FOUND. */
export async function orNull<T>(look: Promise<T>): Promise<T | null> {
  try {
    return await look;
  } catch (error) {
    if (error instanceof GodwitError && error.code === 'NOT_FOUND') return null;
    throw error;
  }
}

/**
 * The thing that is looked for, or a new one. When the answer to the creation was lost, a second look decides: the
 * platform knows no idempotent POST.
 */
export async function findOrCreate<T>(look: () => Promise<T | null>, create: () => Promise<T>): Promise<T> {
  const found = await look();
  if (found !== null) return found;
  try {
    return await create();
  } catch (error) {
    const lost = error instanceof GodwitError && (error.code === 'CONNECTION_FAILED' || error.code === 'BUSY');
    const late = lost ? await look() : null;
    if (late !== null) return late;
    throw error;
  }
}

/** Times a thing that the platform made in an error status is made anew. */
const REMAKES = 2;

/** Makes a thing until it is ready; one that went into an error status is thrown away. The last error stands. */
export async function makeReady<T, Ready>(
  make: () => Promise<T>,
  ready: (made: T) => Promise<Ready>,
  discard: (made: T) => Promise<void>,
): Promise<Ready> {
  for (let remake = 0; ; remake++) {
    const made = await make();
    try {
      return await ready(made);
    } catch (error) {
      if (!(error instanceof GodwitError) || error.code !== 'PLATFORM_ERROR') throw error;
      await discard(made);
      if (remake >= REMAKES) throw error;
    }
  }
}

const VOLUME_S = 1_800;

/** A volume when it has the status. @throws GodwitError PLATFORM_ERROR: it went into an error status */
export function volumeReady(cloud: Cloud, id: string, status: 'available' | 'in-use' = 'available', label = id) {
  const object = `volume ${label} of ${cloud.label}`;
  return waitUntil(
    cloud.signal,
    { object, until: status, seconds: VOLUME_S },
    () => cloud.volumes.volume(id),
    (volume) => {
      if (volume.status.startsWith('error')) {
        throw new GodwitError('PLATFORM_ERROR', object, { reason: `its status is ${volume.status}` });
      }
      return volume.status === status;
    },
  );
}

export function snapshotReady(cloud: Cloud, id: string) {
  const object = `volume snapshot ${id} of ${cloud.label}`;
  return waitUntil(
    cloud.signal,
    { object, until: 'available', seconds: VOLUME_S },
    () => cloud.volumes.snapshot(id),
    ({ status }) => {
      if (status.startsWith('error')) {
        throw new GodwitError('PLATFORM_ERROR', object, { reason: `its status is ${status}` });
      }
      return status === 'available';
    },
  );
}

/** Waits until a thing is gone. @throws GodwitError PLATFORM_ERROR: the platform could not delete it */
export async function gone(
  cloud: Cloud,
  object: string,
  look: () => Promise<{ status: string }>,
  seconds = 600,
): Promise<void> {
  await waitUntil(
    cloud.signal,
    { object, until: 'deleted', seconds },
    () => orNull(look()),
    (seen) => {
      if (seen !== null && /^error/i.test(seen.status)) {
        throw new GodwitError('PLATFORM_ERROR', object, { reason: `it could not be deleted: status ${seen.status}` });
      }
      return seen === null;
    },
  );
}
