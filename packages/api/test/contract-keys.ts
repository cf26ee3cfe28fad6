/** Key sets of the wire contract, written down from observing the original server: not derived from our own schemas. */

const COMMON = ['created_at', 'updated_at', 'deleted_at', 'deleted'];

const ACTION = [
  ...COMMON,
  'base_id',
  'id',
  'user_id',
  'project_id',
  'type',
  'instances',
  'reservation_id',
  'notes',
  'origin_endpoint_id',
  'destination_endpoint_id',
  'origin_minion_pool_id',
  'destination_minion_pool_id',
  'instance_osmorphing_minion_pool_mappings',
  'source_environment',
  'destination_environment',
  'network_map',
  'storage_mappings',
  'transfer_result',
  'last_execution_status',
  'user_scripts',
  'clone_disks',
  'skip_os_morphing',
  'clustered',
];

export const KEYS = {
  region: [...COMMON, 'id', 'name', 'description', 'enabled', 'mapped_endpoints', 'mapped_services'],
  service: [...COMMON, 'id', 'host', 'binary', 'topic', 'enabled', 'status', 'providers', 'specs', 'mapped_regions'],
  endpoint: [
    ...COMMON,
    'id',
    'user_id',
    'project_id',
    'name',
    'type',
    'description',
    'connection_info',
    'mapped_regions',
  ],
  transfer: [...ACTION, 'scenario', 'executions'],
  deployment: [...ACTION, 'transfer_id', 'transfer_scenario_type', 'deployer_id', 'trust_id'],
  execution: [...COMMON, 'id', 'action_id', 'number', 'type', 'status', 'tasks'],
  task: [
    ...COMMON,
    'id',
    'execution_id',
    'instance',
    'host',
    'process_id',
    'status',
    'task_type',
    'exception_details',
    'depends_on',
    'index',
    'on_error',
    'events',
    'progress_updates',
  ],
  event: [...COMMON, 'id', 'task_id', 'level', 'message', 'index'],
  progress: [...COMMON, 'id', 'task_id', 'index', 'current_step', 'total_steps', 'message'],
  schedule: [
    ...COMMON,
    'id',
    'transfer_id',
    'schedule',
    'enabled',
    'expiration_date',
    'shutdown_instance',
    'auto_deploy',
    'trust_id',
  ],
  minionPool: [
    ...COMMON,
    'id',
    'user_id',
    'project_id',
    'name',
    'notes',
    'endpoint_id',
    'environment_options',
    'os_type',
    'platform',
    'status',
    'shared_resources',
    'minimum_minions',
    'maximum_minions',
    'minion_max_idle_time',
    'minion_retention_strategy',
    'maintenance_trust_id',
    'minion_machines',
  ],
  minionMachine: [
    ...COMMON,
    'id',
    'pool_id',
    'user_id',
    'project_id',
    'allocation_status',
    'power_status',
    'allocated_action',
    'last_used_at',
    'connection_info',
    'backup_writer_connection_info',
    'provider_properties',
  ],
} as const;

/** Keys of an action before clone_disks, skip_os_morphing and clustered. */
const OLD_ACTION = ACTION.filter((key) => !['clone_disks', 'skip_os_morphing', 'clustered'].includes(key));

/** The older dialect's key sets: servers up to 1.0.21. */
export const LEGACY_KEYS = {
  replica: [...OLD_ACTION, 'executions'],
  migration: [...OLD_ACTION, 'replica_id', 'shutdown_instances', 'replication_count', 'tasks'],
  schedule: [...KEYS.schedule.filter((key) => !['transfer_id', 'auto_deploy'].includes(key)), 'replica_id'],
} as const;

/** What Godwit adds, as docs/coriolis-compatibility.md lists it. */
export const ADDED = {
  transfer: ['options'],
  deployment: ['test'],
  task: ['error'],
  progress: ['disk'],
} as const;

/** The keys that an answer must have, no more and no less, in sorted order. */
export function keysOf(noun: keyof typeof KEYS, more: readonly string[] = []): string[] {
  const added: readonly string[] = noun in ADDED ? ADDED[noun as keyof typeof ADDED] : [];
  return [...KEYS[noun], ...added, ...more].sort();
}

export const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000000$/;
export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
