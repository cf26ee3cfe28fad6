import { type Kysely, sql } from 'kysely';

/** Comments on columns are in control-tables.ts and tables.ts. */
const statements = [
  `alter table minion_pool
    add column operation text check (operation in ('allocate', 'refresh', 'deallocate', 'upkeep')),
    add column operation_no integer not null default 0, add column walk_no integer not null default 0,
    add column upkeep_at timestamptz`,
  `alter table minion_machine
    add column execution_id text, add column instance text, add column role text,
    add column lease_no integer not null default 0,
    add constraint minion_machine_lease_whole
      check ((execution_id is null) = (instance is null) and (execution_id is null) = (role is null))`,
  `create unique index minion_machine_lease on minion_machine (execution_id, instance, role)
    where execution_id is not null and deleted_at is null`,
  `alter table ledger add column pool_id text, add column machine_id text, drop constraint ledger_keep_check,
    add constraint ledger_keep_check check (keep in ('execution', 'transfer', 'deployment', 'pool', 'forever'))`,
  `create index ledger_pool on ledger (pool_id) where state <> 'removed' and pool_id is not null`,
];

/** Machines of pools are leased to executions; what was made for pools stands in the ledger. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}
