import type { LeafRun } from './leaf-table.ts';

/**
 * What survives a copy's death: the leaf table of one replica disk and how far its copy is. The engine keeps it in Postgres
 * (tables replica_disk and leaf_group); {@link FileCheckpointStore} keeps it in one file. All decisions are the copy
 * engine's; a store only loads, reads and commits.
 *
 * A store belongs to one disk and one attempt. Every call rejects with `FENCED` when a newer attempt owns the disk; a
 * rejected commit may or may not have happened, so the copy goes back to load() before it writes another byte.
 */
export interface CheckpointStore {
  /** Null: nothing was ever committed for this disk (then no byte of it was ever written by a copy). */
  load(): Promise<StoredReplica | null>;
  /** The stored groups with `first <= group < first + count`, ascending; absent ones are left out. */
  readGroups(first: number, count: number): Promise<LeafGroup[]>;
  /** Numbers of the groups whose `changedNo` is above `number`, ascending. */
  changedGroups(number: number): Promise<number[]>;
  /**
   * One transaction: replaces the progress, inserts or replaces each of `groups` as given (never merges). Resolves when it is on stable
   * storage. Calls never overlap. At most 256 groups a call.
   */
  commit(progress: ReplicaProgress, groups: LeafGroup[]): Promise<void>;
}

/** What load() answers. */
export interface StoredReplica {
  /** The last execution that ended with a receipt for this disk, or null. Set by whoever commits the receipt, in that transaction. */
  complete: CompletedRun | null;
  /** Null when the disk has a row but no copy of it has begun. */
  progress: ReplicaProgress | null;
}

/** A run that ended with a proven disk. */
export interface CompletedRun {
  /** Number of the execution: 1, 2, ... */
  number: number;
  /** Bytes of the source disk in that run. */
  size: number;
}

/** Which leaves a pass looks at: those that a change tracker names (and what is added for safety), or all. */
export type CopyPass = 'changed' | 'compare';

/**
 * How far the copy of a disk is. Plain JSON, below 80 KB; a store keeps it as one document. `lowWater` and `intent` are in leaves.
 */
export interface ReplicaProgress {
  /** Bytes of the source disk. */
  size: number;
  /**
   * Bytes, from the start of the target, that were zero when the target was made: leaves of an absent group below it hold zeroes, above
   * it they are unknown.
   */
  zeroedEnd: number;
  /** Execution and frozen snapshot that `lowWater` belongs to. */
  executionNumber: number;
  snapshotKey: string;
  pass: CopyPass;
  /** First byte at which the change tracker, or a digest told by the source's side, was caught; kept until a run completes, which must then read everything. */
  trackerLied: number | null;
  /** All candidates below this leaf are done, on stable storage and in the leaf table. */
  lowWater: number;
  /**
   * Leaves that may have been written since: ordered, at most 64 MiB of data in all, at most 1,024 runs. Whoever begins after an
   * interruption makes them unknown first.
   */
  intent: LeafRun[];
  /**
   * Leaves that interruptions made unknown, some of which may have been sent since: ordered, at most 1,024 runs. For counting
   * alone; absent: none, or a store of an earlier version.
   */
  redo?: LeafRun[];
  counters: CopyCounters;
}

/** Finished work of one execution on one disk. Bytes unless said. What an interruption left uncommitted is not counted. */
export interface CopyCounters {
  /** Read from the source. */
  bytesRead: number;
  /** Written to the target as data. */
  bytesSent: number;
  /** Made zero at the target by request, without sending bytes. */
  bytesZeroed: number;
  /** Looked at and left alone: the target is known to hold them. */
  bytesSkipped: number;
  /** The part of bytesSent that was sent only because an interruption had made it unknown. */
  bytesResent: number;
  /** Leaves of this pass whose digest was computed from bytes of the snapshot. */
  leavesRead: number;
  /** Leaves of this pass whose digest the source's side computed and that were then left alone: their bytes did not travel. */
  leavesHashed: number;
  /** Leaves of this pass that the source's allocation map told to be zero. */
  leavesZero: number;
  /** Leaves re-read from the target by verification (zero ones by its allocation map included). */
  leavesReread: number;
  /** The part of leavesReread that the target's side re-read and hashed. */
  leavesRehashed: number;
}

/** Counters at zero. */
export function nothingDone(): CopyCounters {
  return {
    bytesRead: 0,
    bytesSent: 0,
    bytesZeroed: 0,
    bytesSkipped: 0,
    bytesResent: 0,
    leavesRead: 0,
    leavesHashed: 0,
    leavesZero: 0,
    leavesReread: 0,
    leavesRehashed: 0,
  };
}

/** Adds `more` to `sum`. */
export function addCounters(sum: CopyCounters, more: CopyCounters): void {
  for (const key of Object.keys(sum) as (keyof CopyCounters)[]) sum[key] += more[key];
}

/** 1,024 leaves (64 MiB of disk), fewer at the end of the disk: what a target is known to hold. */
export interface LeafGroup {
  /** 0, 1, ...: leaves `group * 1024` and on. */
  group: number;
  /** 32 bytes per leaf: its BLAKE3 digest, or 32 zero bytes when what the target holds is unknown. */
  leaves: Uint8Array;
  /** Number of the execution that last changed a leaf of it. */
  changedNo: number;
  /** One bit per leaf (leaf i: byte i >> 3, bit i & 7): changed since the last complete run before `changedNo`. 128 bytes at most. */
  changedMask: Uint8Array;
}
