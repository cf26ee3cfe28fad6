import { type Kysely, sql } from 'kysely';

/** Statements of the first schema; comments on columns are in tables.ts. */
const statements = `
create table project (
  id text primary key, name text not null, description text not null default '', enabled boolean not null default true,
  created_at timestamptz not null default clock_timestamp(), updated_at timestamptz, deleted_at timestamptz);
create unique index project_name on project (name) where deleted_at is null;

create table user_account (
  id text primary key, name text not null, password_hash text not null, enabled boolean not null default true,
  default_project_id text references project (id),
  created_at timestamptz not null default clock_timestamp(), updated_at timestamptz, deleted_at timestamptz);
create unique index user_account_name on user_account (name) where deleted_at is null;

create table role_assignment (
  user_id text not null references user_account (id) on delete cascade,
  project_id text not null references project (id) on delete cascade,
  role text not null, created_at timestamptz not null default clock_timestamp(),
  primary key (user_id, project_id, role));

create table auth_token (
  id text primary key, token_hash text not null unique, user_id text not null references user_account (id) on delete cascade,
  project_id text references project (id) on delete cascade, expires_at timestamptz not null,
  created_at timestamptz not null default clock_timestamp());
create index auth_token_expiry on auth_token (expires_at);

create table region (
  id text primary key, name text not null, description text not null default '', enabled boolean not null default true,
  created_at timestamptz not null default clock_timestamp(), updated_at timestamptz, deleted_at timestamptz);
create unique index region_name on region (name) where deleted_at is null;

create table region_mapping (
  region_id text not null references region (id) on delete cascade,
  object_type text not null check (object_type in ('endpoint', 'service')), object_id text not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (region_id, object_type, object_id));
create index region_mapping_object on region_mapping (object_type, object_id);

create table service (
  id text primary key, host text not null, "binary" text not null, topic text not null, executor_id text,
  enabled boolean not null default true, providers jsonb not null default '{}', specs jsonb not null default '{}',
  heartbeat_at timestamptz,
  created_at timestamptz not null default clock_timestamp(), updated_at timestamptz, deleted_at timestamptz);
create unique index service_place on service (host, "binary", topic) where deleted_at is null;
create unique index service_executor on service (executor_id) where deleted_at is null;

create table endpoint (
  id text primary key, project_id text not null, user_id text not null, name text not null, type text not null,
  description text, connection_info jsonb not null default '{}', connection_secret bytea,
  created_at timestamptz not null default clock_timestamp(), updated_at timestamptz, deleted_at timestamptz);
create index endpoint_of_project on endpoint (project_id, created_at, id) where deleted_at is null;

create table transfer (
  id text primary key, project_id text not null, user_id text not null,
  scenario text not null check (scenario in ('replica', 'live_migration')),
  ACTION,
  options jsonb not null default '{}');
create table deployment (
  id text primary key, project_id text not null, user_id text not null,
  transfer_id text not null references transfer (id),
  transfer_scenario text not null check (transfer_scenario in ('replica', 'live_migration')),
  ACTION,
  deployer_id text, trust_id text, force boolean not null default false, test boolean not null default false);
create index deployment_of_transfer on deployment (transfer_id);
create index deployment_waiting on deployment (deployer_id) where deployer_id is not null;

ACTION_INDEXES(transfer)
ACTION_INDEXES(deployment)

create table execution (
  id text primary key, action_id text not null, action_type text not null check (action_type in ('transfer', 'deployment')),
  number integer not null, type text not null, status text not null default 'UNEXECUTED',
  options jsonb not null default '{}', cancel_requested text check (cancel_requested in ('cooperative', 'force')),
  started_at timestamptz, finished_at timestamptz,
  created_at timestamptz not null default clock_timestamp(), updated_at timestamptz, deleted_at timestamptz,
  unique (action_id, number));
create index execution_created on execution (action_id, created_at, id) where deleted_at is null;
create index execution_active on execution (status) where status in ('RUNNING', 'CANCELLING', 'AWAITING_MINION_ALLOCATIONS');
create unique index execution_one_active on execution (action_id)
  where status in ('RUNNING', 'CANCELLING', 'AWAITING_MINION_ALLOCATIONS');

create table task (
  id text primary key, execution_id text not null references execution (id) on delete cascade,
  instance text not null, task_type text not null, status text not null default 'SCHEDULED', index integer not null,
  depends_on jsonb, on_error boolean not null default false, host text, process_id integer,
  attempt integer not null default 0, heartbeat_at timestamptz, started_at timestamptz, finished_at timestamptz,
  exception_details text, error jsonb, result jsonb,
  created_at timestamptz not null default clock_timestamp(), updated_at timestamptz, deleted_at timestamptz,
  unique (execution_id, index))
  with (fillfactor = 80);
create index task_active on task (status) 
  where status in ('STARTING', 'RUNNING', 'SYNCING', 'CANCELLING', 'CANCELLING_AFTER_COMPLETION');

create table task_event (
  id text primary key, task_id text not null references task (id) on delete cascade, level text not null,
  message text not null, index integer not null,
  created_at timestamptz not null default clock_timestamp(), updated_at timestamptz, deleted_at timestamptz,
  unique (task_id, index));

create table progress_update (
  id text primary key, task_id text not null references task (id) on delete cascade, index integer not null,
  current_step bigint not null default 0, total_steps bigint, message text not null, disk jsonb,
  created_at timestamptz not null default clock_timestamp(), updated_at timestamptz, deleted_at timestamptz,
  unique (task_id, index))
  with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);

create table info (
  action_id text not null, instance text not null, data jsonb not null default '{}', updated_at timestamptz,
  primary key (action_id, instance));

create table replica_disk (
  id text primary key, transfer_id text not null references transfer (id), instance text not null, disk_id text not null,
  size bigint not null, target jsonb, token text, complete_no integer not null default 0,
  complete_size bigint not null default 0, zeroed boolean not null default false, progress jsonb,
  fence integer not null default 0, commit_no bigint not null default 0, lent_to text,
  created_at timestamptz not null default clock_timestamp(), updated_at timestamptz, deleted_at timestamptz,
  unique (transfer_id, instance, disk_id))
  with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

create table leaf_group (
  replica_disk_id text not null references replica_disk (id) on delete cascade, group_no integer not null,
  leaves bytea not null check (length(leaves) % 32 = 0 and length(leaves) <= 32768),
  changed_no integer not null, changed_mask bytea not null,
  primary key (replica_disk_id, group_no));
alter table leaf_group alter column leaves set storage external;
alter table leaf_group set (
  autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 16, autovacuum_vacuum_cost_delay = 0,
  toast.autovacuum_vacuum_scale_factor = 0.02, toast.autovacuum_vacuum_threshold = 256,
  toast.autovacuum_vacuum_cost_delay = 0);

create table receipt (
  id text primary key, execution_id text not null, transfer_id text not null, project_id text not null,
  instance text not null, disk_id text not null, document jsonb not null, source_root text not null, target_root text not null,
  result text not null check (result in ('match', 'mismatch')), created_at timestamptz not null default clock_timestamp(),
  unique (execution_id, instance, disk_id));
create index receipt_of_transfer on receipt (transfer_id, created_at, id);
create index receipt_of_project on receipt (project_id, created_at, id);

create table ledger (
  id text primary key, project_id text not null, endpoint_id text not null references endpoint (id),
  transfer_id text, deployment_id text, execution_id text, task_id text, kind text not null, name text not null,
  handle jsonb not null default '{}',
  keep text not null default 'execution' check (keep in ('execution', 'transfer', 'deployment', 'forever')),
  state text not null default 'intended' check (state in ('intended', 'made', 'removing', 'removed')),
  attempts integer not null default 0, last_error text,
  created_at timestamptz not null default clock_timestamp(), updated_at timestamptz, deleted_at timestamptz);
create unique index ledger_live on ledger (endpoint_id, kind, name) where state <> 'removed';
create index ledger_execution on ledger (execution_id) where state <> 'removed';
create index ledger_transfer on ledger (transfer_id) where state <> 'removed';
create index ledger_deployment on ledger (deployment_id) where state <> 'removed';
create index ledger_of_project on ledger (project_id, created_at, id);

create table event (
  xid xid8 not null default pg_current_xact_id(), id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(), project_id text, type text not null,
  object_type text not null, object_id text not null, payload jsonb not null default '{}');
create index event_at on event (at);
create index event_order on event (xid, id);

create table resource (
  id text primary key, project_id text not null, endpoint_id text not null references endpoint (id),
  kind text not null check (kind in ('instance', 'volume', 'network')), external_id text not null, name text not null,
  data jsonb not null default '{}', migrated boolean not null default false,
  created_at timestamptz not null default clock_timestamp(), updated_at timestamptz, deleted_at timestamptz,
  unique (endpoint_id, kind, external_id));
create index resource_of_project on resource (project_id, created_at, id) where deleted_at is null;

create table setting (key text primary key, value jsonb, sealed bytea, updated_at timestamptz);
`;

/** Columns that transfer and deployment share. */
const action = `
  instances jsonb not null, origin_endpoint_id text not null references endpoint (id),
  destination_endpoint_id text not null references endpoint (id),
  source_environment jsonb not null default '{}', destination_environment jsonb not null default '{}',
  network_map jsonb not null default '{}', storage_mappings jsonb not null default '{}', notes text,
  user_scripts jsonb not null default '{"global": {}, "instances": {}}', clone_disks boolean not null default true,
  skip_os_morphing boolean not null default false, clustered boolean not null default false,
  origin_minion_pool_id text, destination_minion_pool_id text,
  instance_osmorphing_minion_pool_mappings jsonb not null default '{}', reservation_id text,
  last_execution_status text not null default 'UNEXECUTED', last_execution_number integer not null default 0,
  transfer_result jsonb,
  created_at timestamptz not null default clock_timestamp(), updated_at timestamptz, deleted_at timestamptz`;

/** The orders in which lists are asked for: newest first, last touched first, newest of a status first. */
const actionIndexes = (table: string): string => `
create index ${table}_created on ${table} (created_at, id) where deleted_at is null;
create index ${table}_of_project on ${table} (project_id, created_at, id) where deleted_at is null;
create index ${table}_touched on ${table} (project_id, coalesce(updated_at, '-infinity'), created_at, id) where deleted_at is null;
create index ${table}_touched_all on ${table} (coalesce(updated_at, '-infinity'), created_at, id) where deleted_at is null;
create index ${table}_status on ${table} (project_id, last_execution_status, created_at, id) where deleted_at is null;
create index ${table}_origin on ${table} (origin_endpoint_id) where deleted_at is null;
create index ${table}_destination on ${table} (destination_endpoint_id) where deleted_at is null;`;

/** All tables of the spine. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const text = statements
    .replaceAll('ACTION_INDEXES(transfer)', actionIndexes('transfer'))
    .replaceAll('ACTION_INDEXES(deployment)', actionIndexes('deployment'))
    .replaceAll('  ACTION,', `${action},`);
  for (const statement of text.split(';\n')) {
    if (statement.trim() !== '') await sql.raw(statement).execute(db);
  }
}
