import { type Static, Type } from 'typebox';
import { common, Exact, FreeObject, Id, Nullable, OneOf, Timestamp } from './json.ts';

/** Nouns that only Godwit has. They follow the contract's conventions: time stamps, paging, envelopes. */

export const Resource = Exact('Resource', {
  ...common,
  id: Id,
  project_id: Type.String(),
  endpoint_id: Id,
  kind: OneOf(['instance', 'volume', 'network'] as const),
  external_id: Type.String({ description: 'Its id at the platform' }),
  name: Type.String(),
  data: FreeObject('As the platform described it last'),
  migrated: Type.Boolean(),
});
export type Resource = Static<typeof Resource>;
export const ResourceAnswer = Exact('ResourceAnswer', { resource: Resource });
export const ResourcesAnswer = Exact('ResourcesAnswer', { resources: Type.Array(Resource) });

export const ReceiptSummary = Exact('ReceiptSummary', {
  id: Id,
  created_at: Timestamp,
  execution_id: Id,
  transfer_id: Id,
  project_id: Type.String(),
  instance: Type.String(),
  disk_id: Type.String(),
  source_root: Type.String({ description: 'Merkle root, hexadecimal' }),
  target_root: Type.String(),
  result: OneOf(['match', 'mismatch'] as const),
});
export type ReceiptSummary = Static<typeof ReceiptSummary>;
export const ReceiptsAnswer = Exact('ReceiptsAnswer', { receipts: Type.Array(ReceiptSummary) });
export const ReceiptDocument = Type.Unsafe<object>({
  title: 'Receipt',
  type: 'object',
  additionalProperties: true,
  description: 'The signed document, as docs/receipt.md describes it',
});

export const ReceiptKeyAnswer = Exact('ReceiptKeyAnswer', {
  key: Exact('ReceiptKey', { key_id: Type.String(), public_key: Type.String({ description: 'SPKI PEM' }) }),
});

export const LedgerEntry = Exact('LedgerEntry', {
  ...common,
  id: Id,
  project_id: Type.String(),
  endpoint_id: Id,
  transfer_id: Nullable(Id),
  deployment_id: Nullable(Id),
  execution_id: Nullable(Id),
  task_id: Nullable(Id),
  kind: Type.String({ examples: ['disk', 'snapshot', 'instance'] }),
  name: Type.String(),
  keep: OneOf(['execution', 'transfer', 'deployment', 'pool', 'forever'] as const),
  state: OneOf(['intended', 'made', 'removing', 'removed'] as const),
  attempts: Type.Integer({ description: 'Removals tried' }),
  last_error: Nullable(Type.String()),
});
export type LedgerEntry = Static<typeof LedgerEntry>;
export const LedgerAnswer = Exact('LedgerAnswer', { ledger: Type.Array(LedgerEntry) });

export const ReplicaDisk = Exact('ReplicaDisk', {
  ...common,
  id: Id,
  transfer_id: Id,
  instance: Type.String(),
  disk_id: Type.String(),
  size: Type.Integer({ description: 'Bytes' }),
  complete_number: Type.Integer({ description: 'Number of the last execution that completed it; 0: none' }),
  tracked: Type.Boolean({ description: 'The next execution starts from a change token' }),
  progress: Nullable(FreeObject('low water, counters and pass of the copy under way or last done')),
});
export type ReplicaDisk = Static<typeof ReplicaDisk>;
export const ReplicaDisksAnswer = Exact('ReplicaDisksAnswer', { disks: Type.Array(ReplicaDisk) });
