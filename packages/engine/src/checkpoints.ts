import type { CheckpointStore } from '@godwit/disk';
import { type Db, PostgresCheckpointStore } from '@godwit/store';
import { type DatabaseRetry, whileDatabaseIsAway } from './database-retry.ts';
import type { Heart } from './heart.ts';

/**
 * The checkpoints of one disk, for the owner of one fence: waits while Postgres is away (a commit may be repeated: it
 * replaces what it names), and commits nothing once the worker has counted itself out.
 */
export function patientCheckpoints(
  db: Db,
  replicaDiskId: string,
  fence: number,
  heart: Heart,
  retry: DatabaseRetry,
): CheckpointStore {
  const store = new PostgresCheckpointStore(db, replicaDiskId, fence);
  const patiently = <T>(work: () => Promise<T>): Promise<T> =>
    whileDatabaseIsAway(retry, () => {
      heart.check();
      return work();
    });
  return {
    load: () => patiently(() => store.load()),
    readGroups: (first, count) => patiently(() => store.readGroups(first, count)),
    changedGroups: (number) => patiently(() => store.changedGroups(number)),
    commit: (progress, groups) => patiently(() => store.commit(progress, groups)),
  };
}
