import { copyFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CopyPlan } from '@godwit/disk';
import { runMeasured } from '../measure.ts';
import { mustBeEqual } from '../peers.ts';
import { runWhole } from '../product-runner.ts';
import { firstCopy, makeEmpty } from './full-copy.ts';

/** A disk that was copied once: what every later run begins with. */
export interface Replica {
  /** The target as the first run left it. */
  target: string;
  /** The leaf table of the first run. */
  store: string;
}

/** A second run's plan. */
export function laterCopy(mode: CopyPlan['mode']): CopyPlan {
  return { ...firstCopy, mode, executionNumber: 2, snapshotKey: 'bench-later', targetZeroed: false };
}

/** Makes the first run, product and all, from a raw file. */
export async function makeReplica(folder: string, name: string, source: string, size: number): Promise<Replica> {
  const replica = {
    target: join(folder, `${name}-first.raw`),
    store: join(tmpdir(), `godwit-bench-${process.pid}-${name}`),
  };
  rmSync(replica.store, { force: true });
  await makeEmpty(replica.target, size);
  await runWhole({
    tasks: [
      {
        source: { kind: 'file', path: source, readOnly: true },
        target: { kind: 'file', path: replica.target, readOnly: false },
        store: replica.store,
        plan: firstCopy,
      },
    ],
  });
  await mustBeEqual(source, replica.target);
  return replica;
}

/**
 * A copy of the replica for one run, removed afterwards.
 *
 * @param work gets the paths of the copies
 */
export async function withReplica<T>(
  replica: Replica,
  work: (target: string, store: string) => Promise<T>,
): Promise<T> {
  const target = `${replica.target}.run`;
  const store = `${replica.store}.run`;
  await runMeasured(['cp', '--sparse=always', replica.target, target]);
  copyFileSync(replica.store, store);
  try {
    return await work(target, store);
  } finally {
    for (const file of [target, store]) rmSync(file, { force: true });
  }
}

/** Removes what makeReplica made. */
export function removeReplica(replica: Replica): void {
  for (const file of [replica.target, replica.store]) rmSync(file, { force: true });
}
