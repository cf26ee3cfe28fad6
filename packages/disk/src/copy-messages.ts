import type { ErrorData } from '@godwit/domain';
import type { CheckpointStore } from './checkpoint-store.ts';
import type { CopyProgress, CopyResult } from './copy.ts';
import type { CopyJob } from './copy-job.ts';

/** What the main thread tells a copy thread. One job at a time. */
export type ToCopyThread =
  | { kind: 'copy'; job: CopyJob }
  | { kind: 'cancel' }
  | { kind: 'answer'; id: number; value: unknown }
  | { kind: 'refusal'; id: number; error: ErrorData };

/** What a copy thread tells the main thread. */
export type FromCopyThread =
  | { kind: 'call'; id: number; call: StoreCall }
  | { kind: 'progress'; progress: CopyProgress }
  | { kind: 'restart'; error: ErrorData }
  | { kind: 'done'; result: CopyResult }
  | { kind: 'failed'; error: ErrorData };

/** A call of the store, which lives in the main thread with its database. */
export type StoreCall = {
  [Method in keyof CheckpointStore]: { method: Method; args: Parameters<CheckpointStore[Method]> };
}[keyof CheckpointStore];
