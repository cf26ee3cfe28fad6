import type { CopyResult, RateBucket } from '@godwit/disk';
import { type AuditMode, GodwitError, type JsonObject, type MinionRole, type VerifyMode } from '@godwit/domain';
import type { OpenDisks, Snapshot, SnapshotDisk, TargetDisk } from '@godwit/provider';
import { addTallies, claimReplicaDisk, completeReplicaDisk, putReceipt, type ReplicaDisk } from '@godwit/store';
import { patientCheckpoints } from '../checkpoints.ts';
import { whileDatabaseIsAway } from '../database-retry.ts';
import { DiskProgressBoard } from '../disk-progress.ts';
import { doubtMachines, ensureMachines } from '../pools/task-machine.ts';
import type { TaskContext } from '../task-context.ts';
import { replicaDisks } from './blackboard.ts';
import { forgetSnapshot, snapshotOn, takeSnapshot } from './source-snapshot.ts';

/** Times a snapshot that was lost in mid-copy is taken anew. */
const RETAKES = 3;

/**
 * Takes the snapshot and copies all its disks side by side, each to its own receipt. After an interruption it goes on from
 * the same snapshot where the checkpoints are.
 */
export default async function replicateDisks(context: TaskContext): Promise<JsonObject> {
  for (;;) {
    const before = snapshotOn(await context.reread());
    if (before !== undefined && (await openDisks(context, before)).length === 0) return {};
    try {
      await ensureMachines(context, rolesOf(context));
      await copyAll(context, await takeSnapshot(context));
      return {};
    } catch (error) {
      if (error instanceof GodwitError && error.kind === 'retryable') await doubtMachines(context, rolesOf(context));
      if (!(error instanceof GodwitError) || error.code !== 'SNAPSHOT_LOST') throw error;
      const retaken = await forgetSnapshot(context);
      if (retaken > RETAKES) throw new GodwitError('PLATFORM_ERROR', error.object, { reason: error.message });
      context.event('WARNING', error.explain());
    }
  }
}

/** Machines of pools that this instance is read and written through. */
function rolesOf({ execution, task }: TaskContext): MinionRole[] {
  return (execution.options.minions ?? []).filter(({ instance }) => instance === task.instance).map(({ role }) => role);
}

interface CopyPlace {
  snapshot: Snapshot;
  source: OpenDisks;
  target: OpenDisks;
  board: DiskProgressBoard;
  read: RateBucket[];
  write: RateBucket[];
  /** For each disk. */
  bufferBytes: number;
}

interface OpenDisk {
  disk: SnapshotDisk;
  row: ReplicaDisk;
  target: TargetDisk;
}

/** The disks that this execution has not proven from this very snapshot yet. */
async function openDisks(context: TaskContext, snapshot: Snapshot): Promise<OpenDisk[]> {
  const known = await replicaDisks(context);
  return snapshot.disks
    .map((disk) => ({ disk, ...counterpart(context, disk, known) }))
    .filter(({ row }) => row.complete_no !== context.execution.number || row.complete_snapshot !== snapshot.key);
}

async function copyAll(context: TaskContext, snapshot: Snapshot): Promise<void> {
  const open = await openDisks(context, snapshot);
  if (open.length === 0) return;
  const { close, place } = await openPlace(context, snapshot, open);
  // One disk in trouble of the passing kind stops its siblings, so that all begin again together and soon; one that fails
  // for good lets them finish: what they prove counts.
  const passing = new AbortController();
  const signal = AbortSignal.any([context.signal, passing.signal]);
  try {
    const ends = await Promise.allSettled(
      open.map(async ({ disk, row }) => {
        try {
          await copyOne(context, place, disk, row, signal);
        } catch (error) {
          if (error instanceof GodwitError && error.kind === 'retryable') passing.abort(error);
          throw error;
        }
      }),
    );
    context.signal.throwIfAborted();
    const failures = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []));
    if (failures.length > 0) throw worst(failures);
  } finally {
    await close();
  }
}

/** Buffers of the disks that one instance copies at once: together this much, which keeps a worker small. */
const BUFFERS = 40 * 1_048_576;
/** A disk alone needs no more: it covers 100 MB/s over 150 ms. */
const LARGEST_SHARE = 16 * 1_048_576;
const DISKS_AT_ONCE = 4;

function bufferShare(disks: number): number {
  return Math.min(LARGEST_SHARE, Math.floor(BUFFERS / Math.min(disks, DISKS_AT_ONCE)));
}

/** What decides how the task ends: a lost snapshot, then what fails for good, then what may pass. */
function worst(failures: unknown[]): unknown {
  const find = (test: (error: GodwitError) => boolean): unknown =>
    failures.find((error) => error instanceof GodwitError && test(error));
  return (
    find((error) => error.code === 'SNAPSHOT_LOST') ??
    failures.find((error) => !(error instanceof GodwitError)) ??
    find((error) => error.kind !== 'retryable' && error.kind !== 'canceled') ??
    find((error) => error.kind === 'retryable') ??
    failures[0]
  );
}

function counterpart(
  context: TaskContext,
  disk: SnapshotDisk,
  known: { row: ReplicaDisk; target: TargetDisk }[],
): { row: ReplicaDisk; target: TargetDisk } {
  const found = known.find(({ row }) => row.disk_id === disk.id);
  if (found === undefined) {
    throw new GodwitError('CONFLICT', `disk ${disk.id} of ${context.task.instance}`, {
      reason: 'it appeared after the target disks were made; execute again',
    });
  }
  return found;
}

async function openPlace(
  context: TaskContext,
  snapshot: Snapshot,
  pairs: OpenDisk[],
): Promise<{ place: CopyPlace; close: () => Promise<void> }> {
  const { execution, log, task, transfer, worker } = context;
  const undo: (() => Promise<void> | void)[] = [];
  const close = async (): Promise<void> => {
    for (const step of undo.reverse()) {
      try {
        await step();
      } catch (error) {
        log.warn({ err: error }, 'closing after a copy failed');
      }
    }
  };
  try {
    const from = await context.source();
    const to = await context.target();
    const disks = pairs.map((pair) => pair.target);
    // Side by side: either may first have to boot a machine.
    const [source, target] = await bothOpen(
      from.source.open(from.context, snapshot),
      to.target.openDisks(to.context, disks, false),
      undo,
    );
    const limit = async (owner: { kind: 'transfer' | 'endpoint'; id: string }, direction: 'read' | 'write') => {
      const { bucket, release } = await worker.rates.acquire(owner, direction);
      undo.push(release);
      return bucket;
    };
    const ofTransfer = { kind: 'transfer', id: transfer.id } as const;
    const read = [await limit(ofTransfer, 'read'), await limit({ kind: 'endpoint', id: from.endpointId }, 'read')];
    const write = [await limit(ofTransfer, 'write'), await limit({ kind: 'endpoint', id: to.endpointId }, 'write')];
    const board = new DiskProgressBoard({
      db: worker.db,
      log,
      projectId: transfer.project_id,
      executionId: execution.id,
      taskId: task.id,
      instance: task.instance,
    });
    undo.push(() => board.close());
    return { place: { snapshot, source, target, board, read, write, bufferBytes: bufferShare(pairs.length) }, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Both ends opened, or neither: what did open stands in `undo`. */
async function bothOpen(
  source: Promise<OpenDisks>,
  target: Promise<OpenDisks>,
  undo: (() => Promise<void> | void)[],
): Promise<[OpenDisks, OpenDisks]> {
  const ends = await Promise.allSettled([source, target]);
  for (const end of ends) if (end.status === 'fulfilled') undo.push(() => end.value.close());
  const failures = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []));
  if (failures.length > 0) throw worst(failures);
  return await Promise.all([source, target]);
}

async function copyOne(
  context: TaskContext,
  place: CopyPlace,
  disk: SnapshotDisk,
  row: ReplicaDisk,
  signal: AbortSignal,
): Promise<void> {
  const { execution, retry, task, worker } = context;
  const label = `disk ${disk.id} of ${task.instance}`;
  const source = place.source.addresses[disk.id];
  const target = place.target.addresses[disk.id];
  if (source === undefined || target === undefined) {
    throw new GodwitError('INTERNAL', label, { reason: 'the provider opened no address for it' });
  }
  const owned = await whileDatabaseIsAway(retry, () =>
    claimReplicaDisk(worker.db, row.id, { taskId: task.id, attempt: task.attempt }),
  );
  await whileDatabaseIsAway(retry, () => place.board.open(disk.id, disk.size));
  const modes = modesOf(context);
  let done = 0;
  const result = await worker.copies.copy(
    {
      label,
      source,
      target,
      sourceBuckets: place.read.map((bucket) => bucket.shared),
      targetBuckets: place.write.map((bucket) => bucket.shared),
      limits: { bufferBytes: place.bufferBytes },
      permit: worker.heart.permit.shared,
      plan: {
        mode: disk.changes === 'exact' && row.token !== null ? 'changed' : 'compare',
        audit: modes.audit,
        verify: modes.verify,
        executionNumber: execution.number,
        snapshotKey: place.snapshot.key,
        targetZeroed: row.zeroed,
        size: disk.size,
      },
    },
    {
      store: patientCheckpoints(worker.db, row.id, owned.fence, worker.heart, { ...retry, signal }),
      signal,
      onProgress: (progress) => {
        context.gotOn(Math.max(0, progress.doneBytes - done));
        done = progress.doneBytes;
        place.board.move(disk.id, progress);
      },
      onRestart: (error) => context.event('WARNING', `${error.explain()} The copy goes on from its checkpoint.`),
    },
  );
  await worker.reach('REPLICATE_DISKS:copied');
  // What was read is only worth a receipt when the snapshot still was what it says at the last read.
  const from = await context.source();
  await from.source.check?.(from.context, place.snapshot);
  await worker.reach('REPLICATE_DISKS:checked');
  await complete(context, place.snapshot, disk, owned, result, modes);
  await worker.reach('REPLICATE_DISKS:completed');
  place.board.finish(disk.id, { doneBytes: result.size, totalBytes: result.size, counters: result.counters });
  if (result.trackerLied !== null) {
    context.event('WARNING', new GodwitError('TRACKER_LIED', label, { offset: result.trackerLied }).explain());
  }
}

interface Modes {
  verify: VerifyMode;
  audit: AuditMode;
}

/** What was asked of the execution, else of the transfer; the pass that ends a machine's life at the source is proven whole. */
function modesOf({ execution, transfer }: TaskContext): Modes {
  const last = execution.options.shutdown_instances === true;
  return {
    verify: execution.options.verify ?? transfer.options.verify ?? (last ? 'whole' : 'changed'),
    audit: execution.options.audit ?? transfer.options.audit ?? (last ? 'whole' : 'sample'),
  };
}

/** Receipt, token and number of the run, in one transaction under the fence: all of it holds, or none. */
async function complete(
  context: TaskContext,
  snapshot: Snapshot,
  disk: SnapshotDisk,
  owned: ReplicaDisk,
  result: CopyResult,
  modes: Modes,
): Promise<void> {
  const { execution, retry, task, transfer, worker } = context;
  const receipt = worker.signer.sign(
    {
      transfer: transfer.id,
      execution: execution.id,
      executionNumber: execution.number,
      instance: task.instance,
      disk: disk.id,
      snapshot: { key: snapshot.key, takenAt: snapshot.takenAt, consistency: snapshot.consistency },
      ...modes,
      provenAt: new Date().toISOString(),
    },
    result,
  );
  if (receipt.target_root === null) {
    throw new GodwitError('INTERNAL', `disk ${disk.id} of ${task.instance}`, { reason: 'it was not verified' });
  }
  const { source_root: sourceRoot, target_root: targetRoot } = receipt;
  await whileDatabaseIsAway(retry, () => {
    worker.heart.check();
    return worker.db.transaction().execute(async (trx) => {
      await putReceipt(trx, {
        executionId: execution.id,
        transferId: transfer.id,
        projectId: transfer.project_id,
        instance: task.instance,
        diskId: disk.id,
        document: receipt,
        sourceRoot,
        targetRoot,
        result: 'match',
      });
      await completeReplicaDisk(trx, owned.id, owned.fence, {
        number: execution.number,
        size: result.size,
        token: disk.token,
        snapshot: snapshot.key,
      });
      await addTallies(trx, {
        disks_proven: 1,
        bytes_read: receipt.bytes_read,
        bytes_sent: receipt.bytes_sent,
        bytes_zeroed: receipt.bytes_zeroed,
        bytes_skipped: receipt.bytes_skipped,
        bytes_resent: receipt.bytes_resent,
      });
    });
  });
}
