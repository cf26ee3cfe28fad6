import type { TaskStatus } from './statuses.ts';
import type { TransitionTable } from './transition.ts';

/**
 * What a task may become; docs/states.md is rendered from it.
 *
 * RUNNING leads to itself: after the death of its worker the same task starts again with a higher attempt.
 */
export const TASK_TRANSITIONS: TransitionTable<TaskStatus> = {
  EXECUTE_ON_ERROR_ONLY: ['SCHEDULED', 'UNSCHEDULED'],
  SCHEDULED: ['PENDING', 'RUNNING', 'UNSCHEDULED', 'FAILED_TO_SCHEDULE', 'STRANDED_AFTER_DEADLOCK'],
  PENDING: ['STARTING', 'RUNNING', 'UNSCHEDULED', 'FAILED_TO_SCHEDULE', 'FORCE_CANCELED'],
  STARTING: ['RUNNING', 'UNSCHEDULED', 'ERROR', 'FORCE_CANCELED'],
  RUNNING: [
    'RUNNING',
    'SYNCING',
    'COMPLETED',
    'ERROR',
    'CANCELLING',
    'CANCELLING_AFTER_COMPLETION',
    'FORCE_CANCELED',
    'CANCELED_FOR_DEBUGGING',
  ],
  SYNCING: ['RUNNING', 'COMPLETED', 'UNSCHEDULED', 'ERROR', 'CANCELLING', 'FORCE_CANCELED'],
  CANCELLING: ['CANCELED', 'CANCELED_AFTER_COMPLETION', 'FAILED_TO_CANCEL', 'FORCE_CANCELED'],
  CANCELLING_AFTER_COMPLETION: [
    'CANCELLING_AFTER_COMPLETION',
    'CANCELED_AFTER_COMPLETION',
    'ERROR',
    'FAILED_TO_CANCEL',
    'FORCE_CANCELED',
  ],
  FAILED_TO_CANCEL: ['CANCELED', 'CANCELED_AFTER_COMPLETION', 'FORCE_CANCELED'],
  COMPLETED: [],
  ERROR: [],
  FORCE_CANCELED: [],
  CANCELED: [],
  CANCELED_AFTER_COMPLETION: [],
  CANCELED_FOR_DEBUGGING: [],
  UNSCHEDULED: [],
  STRANDED_AFTER_DEADLOCK: [],
  FAILED_TO_SCHEDULE: [],
};

/** Work that a worker holds. */
export const RUNNING_TASK_STATUSES: readonly TaskStatus[] = [
  'STARTING',
  'RUNNING',
  'SYNCING',
  'CANCELLING',
  'CANCELLING_AFTER_COMPLETION',
];

/** Ended: nothing changes it any more. */
export function isFinalTask(status: TaskStatus): boolean {
  return TASK_TRANSITIONS[status].length === 0;
}

/** It ended after it had begun, so it may have made something. */
export function hasBegun(status: TaskStatus): boolean {
  return isFinalTask(status) && !NEVER_BEGUN.includes(status);
}

const NEVER_BEGUN: readonly TaskStatus[] = ['UNSCHEDULED', 'STRANDED_AFTER_DEADLOCK', 'FAILED_TO_SCHEDULE'];
