import type * as store from '@godwit/store';
import type { LedgerEntry, ReceiptSummary, ReplicaDisk, Resource } from '../schemas/godwit.ts';
import { commonKeys, timestamp } from './timestamp.ts';

export function resourceToWire(row: store.Resource): Resource {
  return {
    ...commonKeys(row),
    id: row.id,
    project_id: row.project_id,
    endpoint_id: row.endpoint_id,
    kind: row.kind,
    external_id: row.external_id,
    name: row.name,
    data: row.data,
    migrated: row.migrated,
  };
}

export function receiptToWire(row: store.Receipt): ReceiptSummary {
  return {
    id: row.id,
    created_at: timestamp(row.created_at),
    execution_id: row.execution_id,
    transfer_id: row.transfer_id,
    project_id: row.project_id,
    instance: row.instance,
    disk_id: row.disk_id,
    source_root: row.source_root,
    target_root: row.target_root,
    result: row.result,
  };
}

/** Without the handle: it is the provider's own, and not made to be shown. */
export function ledgerToWire(row: store.LedgerRow): LedgerEntry {
  return {
    ...commonKeys(row),
    id: row.id,
    project_id: row.project_id,
    endpoint_id: row.endpoint_id,
    transfer_id: row.transfer_id,
    deployment_id: row.deployment_id,
    execution_id: row.execution_id,
    task_id: row.task_id,
    kind: row.kind,
    name: row.name,
    keep: row.keep,
    state: row.state,
    attempts: row.attempts,
    last_error: row.last_error,
  };
}

export function replicaDiskToWire(row: store.ReplicaDisk): ReplicaDisk {
  return {
    ...commonKeys(row),
    id: row.id,
    transfer_id: row.transfer_id,
    instance: row.instance,
    disk_id: row.disk_id,
    size: row.size,
    complete_number: row.complete_no,
    tracked: row.token !== null,
    progress: row.progress,
  };
}
