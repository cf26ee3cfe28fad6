import type { ErrorData } from '@godwit/domain';
import type { CheckpointStore } from './checkpoint-store.ts';
import type { CopyProgress, CopyResult } from './copy.ts';
import type { CopyJob } from './copy-job.ts';

/** What the main thread tells a copy thread. `copy` numbers the copies of a thread, `call` the calls of its stores. */
export type ToCopyThread =
  | { kind: 'copy'; copy: number; job: CopyJob }
  | { kind: 'cancel'; copy: number }
  | { kind: 'answer'; call: number; value: unknown }
  | { kind: 'refusal'; call: number; error: ErrorData };

/** What a copy thread tells the main thread. */
export type FromCopyThread =
  | { kind: 'call'; copy: number; call: number; what: StoreCall }
  | { kind: 'progress'; copy: number; progress: CopyProgress }
  | { kind: 'restart'; copy: number; error: ErrorData }
  | { kind: 'done'; copy: number; result: CopyResult }
  | { kind: 'failed'; copy: number; error: ErrorData };

/** A call of the store, which lives in the main thread with its database. */
export type StoreCall = {
  [Method in keyof CheckpointStore]: { method: Method; args: Parameters<CheckpointStore[Method]> };
}[keyof CheckpointStore];
