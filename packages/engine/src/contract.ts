/** Names that every process of an installation must agree on. */

/** Owner of our rows in the durable engine's tables. */
export const APPLICATION = 'godwit';

/**
 * Number of the workflow contract: the names and arguments below. Raised when workflows under way could not be continued
 * by the new code; then old ones wait for a worker of their own version.
 */
export const CONTRACT_VERSION = '1';

/** One workflow per execution; any worker. */
export const CONTROL_QUEUE = 'control';
/** Region of endpoints that are mapped to none: every worker serves it. */
export const DEFAULT_REGION = 'default';
/** Heavy tasks, on workers of a region, limited per endpoint. */
export const regionQueue = (region: string): string => `region:${region}`;

export const EXECUTION_WORKFLOW = 'execution';
export const TASK_WORKFLOW = 'task';
export const POOL_WORKFLOW = 'pool';

/** A workflow's id follows from its object's, so that starting it twice starts it once. */
export const executionWorkflowId = (executionId: string): string => `execution:${executionId}`;
export const taskWorkflowId = (taskId: string): string => `task:${taskId}`;
export const poolWorkflowId = (poolId: string, operationNo: number): string => `pool:${poolId}:${operationNo}`;
/** Id of the pool whose operation the workflow is; undefined: it is something else. */
export const poolOfWorkflow = (workflowId: string): string | undefined => /^pool:([^:]+):\d+$/.exec(workflowId)?.[1];

/** Payload: name of a queue. Something waits in it now. */
export const QUEUE_CHANNEL = 'godwit_queue';
/** Payload: name of a queue with limits. Something taken from it has ended: there is room for the next. */
export const ROOM_CHANNEL = 'godwit_room';
/** Payload: execution id. A task of it has ended in another process. */
export const TASK_CHANNEL = 'godwit_task';
/** Payload: id of a waiting provider call. */
export const CALL_CHANNEL = 'godwit_call';
/** Payload: id of a provider call that has its answer, or whose caller has gone. */
export const ANSWER_CHANNEL = 'godwit_answer';
export const GIVE_UP_CHANNEL = 'godwit_give_up';
/** Payload: empty. Something became removable. */
export const REAP_CHANNEL = 'godwit_reap';

/** Keys of advisory locks: one worker at a time does each of these. */
export const LOCKS = {
  takeover: 7_100_001,
  reaper: 7_100_002,
  retention: 7_100_003,
  waiting: 7_100_004,
  pools: 7_100_005,
  slot: 7_100_100,
} as const;
