import type { JsonObject, TaskType } from '@godwit/domain';
import type { TaskContext } from '../task-context.ts';

/**
 * What a task does: from the blackboard and the platforms to the keys of the blackboard that it changes. Idempotent: it may
 * be begun again at any point, by another process.
 */
export type TaskBody = (context: TaskContext) => Promise<JsonObject>;

/** Task type -> its body, loaded when first needed. */
export const taskBodies: Partial<Record<TaskType, () => Promise<TaskBody>>> = {
  VALIDATE_TRANSFER_SOURCE_INPUTS: async () => (await import('./validate-transfer-source-inputs.ts')).default,
  GET_INSTANCE_INFO: async () => (await import('./get-instance-info.ts')).default,
  VALIDATE_TRANSFER_DESTINATION_INPUTS: async () => (await import('./validate-transfer-destination-inputs.ts')).default,
  UPDATE_SOURCE_TRANSFER: async () => (await import('./update-source-transfer.ts')).default,
  UPDATE_DESTINATION_TRANSFER: async () => (await import('./update-destination-transfer.ts')).default,
  DEPLOY_TRANSFER_DISKS: async () => (await import('./deploy-transfer-disks.ts')).default,
  SHUTDOWN_INSTANCE: async () => (await import('./shutdown-instance.ts')).default,
  REPLICATE_DISKS: async () => (await import('./replicate-disks.ts')).default,
  DELETE_TRANSFER_SOURCE_RESOURCES: async () => (await import('./delete-transfer-source-resources.ts')).default,
  DELETE_TRANSFER_TARGET_RESOURCES: async () => (await import('./delete-transfer-target-resources.ts')).default,
  DELETE_TRANSFER_SOURCE_DISK_SNAPSHOTS: async () =>
    (await import('./delete-transfer-source-disk-snapshots.ts')).default,
  DELETE_TRANSFER_DISKS: async () => (await import('./delete-transfer-disks.ts')).default,
  VALIDATE_DEPLOYMENT_INPUTS: async () => (await import('./validate-deployment-inputs.ts')).default,
  CREATE_TRANSFER_DISK_SNAPSHOTS: async () => (await import('./create-transfer-disk-snapshots.ts')).default,
  DEPLOY_INSTANCE_RESOURCES: async () => (await import('./deploy-instance-resources.ts')).default,
  FINALIZE_INSTANCE_DEPLOYMENT: async () => (await import('./finalize-instance-deployment.ts')).default,
  CLEANUP_FAILED_INSTANCE_DEPLOYMENT: async () => (await import('./cleanup-failed-instance-deployment.ts')).default,
  DELETE_TRANSFER_TARGET_DISK_SNAPSHOTS: async () =>
    (await import('./delete-transfer-target-disk-snapshots.ts')).default,
  RESTORE_TRANSFER_DISK_SNAPSHOTS: async () => (await import('./restore-transfer-disk-snapshots.ts')).default,
  VALIDATE_SOURCE_MINION_POOL_COMPATIBILITY: async () =>
    (await import('./validate-source-minion-pool-compatibility.ts')).default,
  VALIDATE_DESTINATION_MINION_POOL_COMPATIBILITY: async () =>
    (await import('./validate-destination-minion-pool-compatibility.ts')).default,
  VALIDATE_OSMORPHING_MINION_POOL_COMPATIBILITY: async () =>
    (await import('./validate-osmorphing-minion-pool-compatibility.ts')).default,
  RELEASE_SOURCE_MINION: async () => (await import('./release-source-minion.ts')).default,
  RELEASE_DESTINATION_MINION: async () => (await import('./release-destination-minion.ts')).default,
  RELEASE_OSMORPHING_MINION: async () => (await import('./release-osmorphing-minion.ts')).default,
};
