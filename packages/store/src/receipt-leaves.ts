import { LeafLayout, type ReplicaProgress } from '@godwit/disk';
import { GodwitError } from '@godwit/domain';
import type { Db } from './database.ts';
import { getExecution } from './executions.ts';
import { PostgresCheckpointStore } from './postgres-checkpoint-store.ts';
import { listReplicaDisks } from './replica-disks.ts';
import type { Receipt } from './tables.ts';

/** Leaf groups read at a time: 1 MiB of digests. */
const GROUPS_AT_ONCE = 32;

/** The leaf table of one receipt. */
export interface ReceiptLeaves {
  /** Of the whole table. */
  bytes: number;
  /** Digests in the order of the leaves, in pieces of at most 32 KiB. */
  read(): AsyncGenerator<Uint8Array>;
}

/**
 * The leaves that a receipt is about, as long as the disk's table still is that one: completed by its execution and changed
 * by none since.
 *
 * @throws GodwitError RECEIPT_SUPERSEDED
 */
export async function openReceiptLeaves(db: Db, receipt: Receipt): Promise<ReceiptLeaves> {
  const [execution, disks] = await Promise.all([
    getExecution(db, receipt.execution_id),
    listReplicaDisks(db, receipt.transfer_id, receipt.instance),
  ]);
  const disk = disks.find((row) => row.disk_id === receipt.disk_id);
  const number = execution?.number ?? 0;
  const superseded = () =>
    new GodwitError('RECEIPT_SUPERSEDED', `receipt ${receipt.id}`, { number: disk?.complete_no ?? number });
  if (disk === undefined || number === 0 || disk.complete_no !== number) throw superseded();
  // Reading needs no ownership, so the fence says nothing here.
  const groups = new PostgresCheckpointStore(db, disk.id, disk.fence);
  if ((await groups.changedGroups(number)).length > 0) throw superseded();
  const layout = new LeafLayout(disk.complete_size);
  const zeroedEnd = (disk.progress as ReplicaProgress | null)?.zeroedEnd ?? 0;
  async function* read(): AsyncGenerator<Uint8Array> {
    for (let first = 0; first < layout.groupCount; first += GROUPS_AT_ONCE) {
      const count = Math.min(GROUPS_AT_ONCE, layout.groupCount - first);
      const rows = new Map((await groups.readGroups(first, count)).map((row) => [row.group, row.leaves]));
      for (let group = first; group < first + count; group++) {
        yield rows.get(group) ?? layout.absentDigests(group, zeroedEnd);
      }
    }
  }
  return { bytes: layout.leafCount * 32, read };
}
