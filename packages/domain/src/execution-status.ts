import type { ExecutionStatus, TaskStatus } from './statuses.ts';
import { isFinalTask } from './task-status.ts';
import type { TransitionTable } from './transition.ts';

/** What an execution may become; docs/states.md is rendered from it. */
export const EXECUTION_TRANSITIONS: TransitionTable<ExecutionStatus> = {
  UNEXECUTED: ['RUNNING', 'AWAITING_MINION_ALLOCATIONS', 'CANCELED', 'ERROR'],
  PENDING: ['RUNNING', 'AWAITING_MINION_ALLOCATIONS', 'CANCELED', 'ERROR'],
  AWAITING_MINION_ALLOCATIONS: ['RUNNING', 'CANCELLING', 'CANCELED', 'ERROR_ALLOCATING_MINIONS'],
  RUNNING: ['COMPLETED', 'ERROR', 'DEADLOCKED', 'CANCELLING', 'CANCELED', 'CANCELED_FOR_DEBUGGING'],
  CANCELLING: ['CANCELED', 'ERROR', 'DEADLOCKED', 'CANCELED_FOR_DEBUGGING'],
  COMPLETED: [],
  ERROR: [],
  DEADLOCKED: [],
  CANCELED: [],
  CANCELED_FOR_DEBUGGING: [],
  ERROR_ALLOCATING_MINIONS: [],
};

const CANCELED: readonly TaskStatus[] = ['CANCELED', 'CANCELED_AFTER_COMPLETION', 'FORCE_CANCELED'];
const FAILED: readonly TaskStatus[] = ['ERROR', 'FAILED_TO_SCHEDULE', 'FAILED_TO_CANCEL'];

/**
 * The status of an execution follows from its tasks'. `canceling`: somebody asked for it.
 *
 * An error outranks a cancel: what failed is worth knowing even when it was called off. Without any error a canceled
 * execution is CANCELED although some of its tasks completed.
 */
export function deriveExecutionStatus(tasks: readonly { status: TaskStatus }[], canceling: boolean): ExecutionStatus {
  const has = (statuses: readonly TaskStatus[]): boolean => tasks.some((task) => statuses.includes(task.status));
  const open = tasks.some((task) => !isFinalTask(task.status) && task.status !== 'EXECUTE_ON_ERROR_ONLY');
  if (open) return canceling ? 'CANCELLING' : 'RUNNING';
  if (has(['STRANDED_AFTER_DEADLOCK'])) return 'DEADLOCKED';
  if (has(['CANCELED_FOR_DEBUGGING'])) return 'CANCELED_FOR_DEBUGGING';
  if (has(FAILED)) return 'ERROR';
  if (canceling || has(CANCELED)) return 'CANCELED';
  return 'COMPLETED';
}
