/** The closed sets of words that stand in statuses, kinds and types; spelled as the wire contract spells them. */

export const EXECUTION_STATUSES = [
  'UNEXECUTED',
  'PENDING',
  'RUNNING',
  'COMPLETED',
  'ERROR',
  'DEADLOCKED',
  'CANCELED',
  'CANCELLING',
  'CANCELED_FOR_DEBUGGING',
  'AWAITING_MINION_ALLOCATIONS',
  'ERROR_ALLOCATING_MINIONS',
] as const;
export type ExecutionStatus = (typeof EXECUTION_STATUSES)[number];

/** Statuses of an execution that still has work under way; at most one such execution per action. */
export const ACTIVE_EXECUTION_STATUSES: readonly ExecutionStatus[] = [
  'RUNNING',
  'CANCELLING',
  'AWAITING_MINION_ALLOCATIONS',
];

/** Statuses that an execution never leaves. */
export const FINAL_EXECUTION_STATUSES: readonly ExecutionStatus[] = [
  'COMPLETED',
  'CANCELED',
  'ERROR',
  'CANCELED_FOR_DEBUGGING',
  'DEADLOCKED',
  'ERROR_ALLOCATING_MINIONS',
];

export const TASK_STATUSES = [
  'SCHEDULED',
  'PENDING',
  'STARTING',
  'UNSCHEDULED',
  'RUNNING',
  'SYNCING',
  'COMPLETED',
  'ERROR',
  'FORCE_CANCELED',
  'FAILED_TO_CANCEL',
  'CANCELED',
  'CANCELED_AFTER_COMPLETION',
  'CANCELLING',
  'CANCELLING_AFTER_COMPLETION',
  'CANCELED_FOR_DEBUGGING',
  'STRANDED_AFTER_DEADLOCK',
  'EXECUTE_ON_ERROR_ONLY',
  'FAILED_TO_SCHEDULE',
] as const;
export type TaskStatus = (typeof TASK_STATUSES)[number];

export const EXECUTION_TYPES = [
  'transfer_execution',
  'transfer_disks_delete',
  'transfer_update',
  'deployment',
  'minion_pool_maintenance',
  'minion_pool_update',
  'minion_pool_set_up_shared_resources',
  'minion_pool_tear_down_shared_resources',
  'minion_pool_allocate_minions',
  'minion_pool_deallocate_minions',
] as const;
export type ExecutionType = (typeof EXECUTION_TYPES)[number];

export const TASK_TYPES = [
  'GET_INSTANCE_INFO',
  'VALIDATE_TRANSFER_SOURCE_INPUTS',
  'VALIDATE_TRANSFER_DESTINATION_INPUTS',
  'VALIDATE_DEPLOYMENT_INPUTS',
  'DEPLOY_TRANSFER_DISKS',
  'DELETE_TRANSFER_DISKS',
  'DEPLOY_TRANSFER_SOURCE_RESOURCES',
  'DELETE_TRANSFER_SOURCE_RESOURCES',
  'DEPLOY_TRANSFER_TARGET_RESOURCES',
  'DELETE_TRANSFER_TARGET_RESOURCES',
  'SHUTDOWN_INSTANCE',
  'REPLICATE_DISKS',
  'DELETE_TRANSFER_SOURCE_DISK_SNAPSHOTS',
  'CREATE_TRANSFER_DISK_SNAPSHOTS',
  'DELETE_TRANSFER_TARGET_DISK_SNAPSHOTS',
  'RESTORE_TRANSFER_DISK_SNAPSHOTS',
  'DEPLOY_INSTANCE_RESOURCES',
  'GET_OPTIMAL_FLAVOR',
  'FINALIZE_INSTANCE_DEPLOYMENT',
  'CLEANUP_FAILED_INSTANCE_DEPLOYMENT',
  'DEPLOY_OS_MORPHING_RESOURCES',
  'OS_MORPHING',
  'DELETE_OS_MORPHING_RESOURCES',
  'COLLECT_OS_MORPHING_INFO',
  'UPDATE_SOURCE_TRANSFER',
  'UPDATE_DESTINATION_TRANSFER',
  'VALIDATE_SOURCE_MINION_POOL_COMPATIBILITY',
  'VALIDATE_DESTINATION_MINION_POOL_COMPATIBILITY',
  'VALIDATE_OSMORPHING_MINION_POOL_COMPATIBILITY',
  'RELEASE_SOURCE_MINION',
  'RELEASE_DESTINATION_MINION',
  'RELEASE_OSMORPHING_MINION',
] as const;
export type TaskType = (typeof TASK_TYPES)[number];

export const TRANSFER_SCENARIOS = ['replica', 'live_migration'] as const;
export type TransferScenario = (typeof TRANSFER_SCENARIOS)[number];

export const EVENT_LEVELS = ['INFO', 'WARNING', 'ERROR'] as const;
export type EventLevel = (typeof EVENT_LEVELS)[number];

/** How much of the target is re-read before a receipt is written. */
export type VerifyMode = 'changed' | 'whole';
/** How much of the source is read although its change tracker calls it unchanged. */
export type AuditMode = 'sample' | 'whole';
/** What an operator asked of a running execution. */
export type CancelMode = 'cooperative' | 'force';

export type LedgerState = 'intended' | 'made' | 'removing' | 'removed';
export type LedgerKeep = 'execution' | 'transfer' | 'deployment' | 'pool' | 'forever';
export type ResourceKind = 'instance' | 'volume' | 'network';
export type ServiceStatus = 'UP' | 'DOWN' | 'UNKNOWN';
