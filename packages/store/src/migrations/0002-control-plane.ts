import { type Kysely, sql } from 'kysely';

/** Comments on columns are in tables.ts and control-tables.ts. */
const common = `created_at timestamptz not null default clock_timestamp(), updated_at timestamptz, deleted_at timestamptz`;

const statements = [
  `create table schedule (
    id text primary key, transfer_id text not null references transfer (id), project_id text not null, user_id text not null,
    schedule jsonb not null, enabled boolean not null default true, expiration_date timestamptz,
    shutdown_instance boolean not null default false, auto_deploy boolean not null default false, trust_id text,
    checked_at timestamptz not null default clock_timestamp(), ${common})`,
  `create index schedule_of_transfer on schedule (transfer_id, created_at, id) where deleted_at is null`,
  `create index schedule_due on schedule (checked_at) where deleted_at is null and enabled`,
  `create table schedule_tick (
    schedule_id text not null references schedule (id) on delete cascade, due_at timestamptz not null,
    outcome text not null check (outcome in ('fired', 'overlap', 'missed', 'refused')), execution_id text, reason text,
    created_at timestamptz not null default clock_timestamp(), primary key (schedule_id, due_at))`,

  `create table minion_pool (
    id text primary key, project_id text not null, user_id text not null, name text not null, notes text,
    endpoint_id text not null references endpoint (id), environment_options jsonb not null default '{}',
    os_type text not null, platform text not null check (platform in ('source', 'destination')),
    status text not null default 'DEALLOCATED', shared_resources jsonb,
    minimum_minions integer not null default 1, maximum_minions integer not null default 1,
    minion_max_idle_time integer not null default 1,
    minion_retention_strategy text not null default 'delete' check (minion_retention_strategy in ('delete', 'poweroff')),
    maintenance_trust_id text, ${common})`,
  `create index minion_pool_of_project on minion_pool (project_id, created_at, id) where deleted_at is null`,
  `create index minion_pool_of_endpoint on minion_pool (endpoint_id) where deleted_at is null`,
  `create table minion_machine (
    id text primary key, pool_id text not null references minion_pool (id), project_id text not null, user_id text not null,
    allocation_status text not null default 'UNINITIALIZED', power_status text not null default 'UNINITIALIZED',
    allocated_action text, last_used_at timestamptz, connection_info jsonb, backup_writer_connection_info jsonb,
    connection_secret bytea, provider_properties jsonb, ${common})`,
  `create index minion_machine_of_pool on minion_machine (pool_id, created_at, id) where deleted_at is null`,
  `create index minion_machine_of_action on minion_machine (allocated_action)
    where allocated_action is not null and deleted_at is null`,
  `create table minion_pool_event (
    id text primary key, pool_id text not null references minion_pool (id) on delete cascade, index integer not null,
    level text not null, message text not null, ${common}, unique (pool_id, index))`,
  `create table minion_pool_progress (
    id text primary key, pool_id text not null references minion_pool (id) on delete cascade, index integer not null,
    current_step bigint not null default 0, total_steps bigint, message text not null, ${common}, unique (pool_id, index))`,

  `create table audit_record (
    number bigint primary key, at timestamptz not null, request_id text not null, user_id text, user_name text,
    project_id text, address text not null, action text not null, object text not null, status integer not null,
    previous text not null, hash text not null)`,
  `create index audit_record_of_project on audit_record (project_id, number)`,
  // Append-only: not even a defect of ours changes what was recorded.
  `create function audit_record_is_final() returns trigger language plpgsql as
    $$ begin raise exception 'audit records are never changed'; end $$`,
  `create trigger audit_record_final before update or delete or truncate on audit_record
    for each statement execute function audit_record_is_final()`,

  `create table webhook (
    id text primary key, project_id text not null, user_id text not null, name text not null, url text not null,
    events jsonb not null default '[]', enabled boolean not null default true, signing_secret bytea not null,
    ${common})`,
  `create index webhook_of_project on webhook (project_id, created_at, id) where deleted_at is null`,
  `create table webhook_delivery (
    id text primary key, webhook_id text not null references webhook (id) on delete cascade, event_id bigint not null,
    body jsonb not null, state text not null default 'waiting' check (state in ('waiting', 'delivered', 'failed')),
    attempts integer not null default 0, next_at timestamptz not null default clock_timestamp(),
    last_status integer, last_error text, ${common}, unique (webhook_id, event_id))`,
  `create index webhook_delivery_due on webhook_delivery (next_at) where state = 'waiting'`,
];

/** Schedules, minion pools, audit and webhooks. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}
