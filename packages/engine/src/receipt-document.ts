import type { CopyCounters, CopyResult } from '@godwit/disk';
import { LEAF_SIZE } from '@godwit/disk';
import { type AuditMode, GodwitError, type JsonObject, type VerifyMode } from '@godwit/domain';
import type { Snapshot, SnapshotDisk } from '@godwit/provider';
import type { Execution, Transfer } from '@godwit/store';

export interface ReceiptFacts {
  execution: Execution;
  transfer: Transfer;
  instance: string;
  snapshot: Snapshot;
  disk: SnapshotDisk;
  result: CopyResult;
  verify: VerifyMode;
  audit: AuditMode;
}

/** The proof of one disk and execution, before it is signed. Its fields are described in docs/receipt.md. */
export function receiptDocument(facts: ReceiptFacts): JsonObject {
  const { audit, disk, execution, instance, result, snapshot, transfer, verify } = facts;
  if (result.targetRoot === null) {
    throw new GodwitError('INTERNAL', `disk ${disk.id} of ${instance}`, { reason: 'it was not verified' });
  }
  return {
    version: 1,
    transfer_id: transfer.id,
    execution_id: execution.id,
    execution_number: execution.number,
    instance,
    disk_id: disk.id,
    size: result.size,
    leaf_size: LEAF_SIZE,
    leaf_count: result.leafCount,
    hash: 'blake3',
    source_root: Buffer.from(result.sourceRoot).toString('hex'),
    target_root: Buffer.from(result.targetRoot).toString('hex'),
    result: 'match',
    verify,
    audit,
    pass: result.pass,
    leaves_carried: result.leavesCarried,
    tracker_lied: result.trackerLied,
    snapshot: { key: snapshot.key, taken_at: snapshot.takenAt, consistency: snapshot.consistency },
    counters: snake(result.counters),
    issued_at: new Date().toISOString(),
  };
}

/** `bytesSent` -> `bytes_sent`. */
function snake(counters: CopyCounters): JsonObject {
  return Object.fromEntries(
    Object.entries(counters).map(([name, value]) => [name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`), value]),
  );
}
