import type { ExecutionType, TaskType } from '@godwit/domain';

/** Words of the contract's older dialect for words of the current one. Pure. */

const EXECUTION_TYPES: Partial<Record<ExecutionType, string>> = {
  transfer_execution: 'replica_execution',
  transfer_disks_delete: 'replica_disks_delete',
  transfer_update: 'replica_update',
  deployment: 'replica_deploy',
};

/** Those that are not just REPLICA in place of TRANSFER. */
const TASK_TYPES: Partial<Record<TaskType, string>> = {
  DEPLOY_INSTANCE_RESOURCES: 'DEPLOY_REPLICA_INSTANCE_RESOURCES',
  FINALIZE_INSTANCE_DEPLOYMENT: 'FINALIZE_REPLICA_INSTANCE_DEPLOYMENT',
  CLEANUP_FAILED_INSTANCE_DEPLOYMENT: 'CLEANUP_FAILED_REPLICA_INSTANCE_DEPLOYMENT',
  VALIDATE_DEPLOYMENT_INPUTS: 'VALIDATE_REPLICA_DEPLOYMENT_INPUTS',
};

export function legacyExecutionType(type: string): string {
  return EXECUTION_TYPES[type as ExecutionType] ?? type;
}

export function legacyTaskType(type: string): string {
  return TASK_TYPES[type as TaskType] ?? type.replace('TRANSFER', 'REPLICA');
}

/** A message about a transfer, told to somebody who calls it a replica. */
export function legacyMessage(message: string): string {
  return message.replaceAll(/\bTransfer\b/g, 'Replica').replaceAll(/\btransfer\b/g, 'replica');
}
