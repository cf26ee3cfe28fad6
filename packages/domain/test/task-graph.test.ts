import { describe, expect, test } from 'vitest';
import { deriveExecutionStatus, EXECUTION_TRANSITIONS } from '../src/execution-status.ts';
import type { TaskStatus } from '../src/statuses.ts';
import { EXECUTION_STATUSES, TASK_STATUSES } from '../src/statuses.ts';
import {
  advance,
  cancelTasks,
  forceCancelTasks,
  type PlannedTask,
  planDeployment,
  planDisksDelete,
  planTransferExecution,
  type TaskState,
} from '../src/task-graph.ts';
import { isFinalTask, TASK_TRANSITIONS } from '../src/task-status.ts';
import { sourcesOf, transition } from '../src/transition.ts';

const states = (plan: PlannedTask[]): TaskState[] =>
  plan.map((task) => ({
    id: task.key,
    instance: task.instance,
    status: task.status,
    dependsOn: task.dependsOn,
    onError: task.onError,
  }));

/** Walks a plan to its end; `outcome` says how each task ends. Returns the order of starts and the last states. */
function walk(
  plan: PlannedTask[],
  outcome: (task: TaskState) => TaskStatus,
  canceling = false,
): { order: string[]; tasks: TaskState[] } {
  let tasks = states(plan);
  const order: string[] = [];
  for (let guard = 0; guard < 200; guard += 1) {
    const next = advance(tasks, canceling);
    if (next.start.length === 0 && next.change.length === 0) return { order, tasks };
    for (const { from, to } of next.change) expect(TASK_TRANSITIONS[from]).toContain(to);
    const changed = new Map(next.change.map((change) => [change.id, change.to]));
    tasks = tasks.map((task) => ({ ...task, status: changed.get(task.id) ?? task.status }));
    order.push(...next.start);
    tasks = tasks.map((task) => (next.start.includes(task.id) ? { ...task, status: outcome(task) } : task));
  }
  throw new Error('the walk does not end');
}

const completes = (): TaskStatus => 'COMPLETED';
const failing =
  (...ids: string[]) =>
  (task: TaskState): TaskStatus =>
    ids.includes(task.id) ? 'ERROR' : 'COMPLETED';
const statusOf = (tasks: TaskState[], id: string): TaskStatus | undefined =>
  tasks.find((task) => task.id === id)?.status;

test('a transfer execution of two instances runs every task once and completes', () => {
  const { order, tasks } = walk(planTransferExecution(['a', 'b'], false), completes);
  expect(order).toHaveLength(14);
  expect(new Set(order).size).toBe(14);
  expect(order.indexOf('a/REPLICATE_DISKS')).toBeGreaterThan(order.indexOf('a/DEPLOY_TRANSFER_DISKS'));
  expect(deriveExecutionStatus(tasks, false)).toBe('COMPLETED');
});

test('the shutdown stands between the disks and the copy', () => {
  const { order } = walk(planTransferExecution(['a'], true), completes);
  expect(order.slice(-4)).toEqual([
    'a/SHUTDOWN_INSTANCE',
    'a/REPLICATE_DISKS',
    'a/DELETE_TRANSFER_SOURCE_RESOURCES',
    'a/DELETE_TRANSFER_TARGET_RESOURCES',
  ]);
});

test('a failed copy is cleaned up after, and the other instance completes', () => {
  const { tasks } = walk(planTransferExecution(['a', 'b'], false), failing('a/REPLICATE_DISKS'));
  expect(statusOf(tasks, 'a/DELETE_TRANSFER_SOURCE_RESOURCES')).toBe('COMPLETED');
  expect(tasks.filter((task) => task.instance === 'b').every((task) => task.status === 'COMPLETED')).toBe(true);
  expect(deriveExecutionStatus(tasks, false)).toBe('ERROR');
});

test('what follows a failure is unscheduled, cleanup of what never began too', () => {
  const { order, tasks } = walk(planTransferExecution(['a'], false), failing('a/GET_INSTANCE_INFO'));
  expect(order).toEqual(['a/VALIDATE_TRANSFER_SOURCE_INPUTS', 'a/GET_INSTANCE_INFO']);
  expect(statusOf(tasks, 'a/REPLICATE_DISKS')).toBe('UNSCHEDULED');
  expect(statusOf(tasks, 'a/DELETE_TRANSFER_SOURCE_RESOURCES')).toBe('UNSCHEDULED');
});

test('a deployment that succeeds never shows its error tasks', () => {
  for (const clone of [true, false]) {
    const { order, tasks } = walk(planDeployment(['a'], clone), completes);
    expect(order.at(-1)).toBe('a/DELETE_TRANSFER_TARGET_DISK_SNAPSHOTS');
    expect(statusOf(tasks, 'a/CLEANUP_FAILED_INSTANCE_DEPLOYMENT')).toBe('EXECUTE_ON_ERROR_ONLY');
    expect(deriveExecutionStatus(tasks, false)).toBe('COMPLETED');
  }
});

test('a deployment that fails is cleaned up and restores disks that were not cloned', () => {
  const plan = planDeployment(['a'], false);
  const { order, tasks } = walk(plan, failing('a/FINALIZE_INSTANCE_DEPLOYMENT'));
  expect(order.slice(-2)).toEqual(['a/CLEANUP_FAILED_INSTANCE_DEPLOYMENT', 'a/RESTORE_TRANSFER_DISK_SNAPSHOTS']);
  expect(statusOf(tasks, 'a/DELETE_TRANSFER_TARGET_DISK_SNAPSHOTS')).toBe('UNSCHEDULED');
  expect(deriveExecutionStatus(tasks, false)).toBe('ERROR');
  const cloned = walk(planDeployment(['a'], true), failing('a/DEPLOY_INSTANCE_RESOURCES'));
  expect(cloned.order.slice(-2)).toEqual([
    'a/CLEANUP_FAILED_INSTANCE_DEPLOYMENT',
    'a/DELETE_TRANSFER_TARGET_DISK_SNAPSHOTS',
  ]);
});

test('an instance that runs is not undone because its restore point could not be removed', () => {
  const { order, tasks } = walk(planDeployment(['a'], false), failing('a/DELETE_TRANSFER_TARGET_DISK_SNAPSHOTS'));
  expect(order.at(-1)).toBe('a/DELETE_TRANSFER_TARGET_DISK_SNAPSHOTS');
  expect(statusOf(tasks, 'a/CLEANUP_FAILED_INSTANCE_DEPLOYMENT')).toBe('UNSCHEDULED');
  expect(statusOf(tasks, 'a/RESTORE_TRANSFER_DISK_SNAPSHOTS')).toBe('UNSCHEDULED');
  expect(deriveExecutionStatus(tasks, false)).toBe('ERROR');
});

test('a deployment canceled while its instance is made is undone, disks and all', () => {
  const doing = states(planDeployment(['a'], false)).map((task): TaskState => {
    if (['a/VALIDATE_DEPLOYMENT_INPUTS', 'a/CREATE_TRANSFER_DISK_SNAPSHOTS'].includes(task.id)) {
      return { ...task, status: 'COMPLETED' };
    }
    return task.id === 'a/DEPLOY_INSTANCE_RESOURCES' ? { ...task, status: 'CANCELED' } : task;
  });
  expect(advance(doing, true).start).toEqual(['a/CLEANUP_FAILED_INSTANCE_DEPLOYMENT']);
  const cleaned = doing.map(
    (task): TaskState =>
      task.id === 'a/CLEANUP_FAILED_INSTANCE_DEPLOYMENT'
        ? { ...task, status: 'COMPLETED' }
        : task.id === 'a/FINALIZE_INSTANCE_DEPLOYMENT'
          ? { ...task, status: 'UNSCHEDULED' }
          : task,
  );
  expect(advance(cleaned, true).start).toEqual(['a/RESTORE_TRANSFER_DISK_SNAPSHOTS']);
});

test('a deployment refused at validation has nothing to clean', () => {
  const { order } = walk(planDeployment(['a'], false), failing('a/VALIDATE_DEPLOYMENT_INPUTS'));
  expect(order).toEqual(['a/VALIDATE_DEPLOYMENT_INPUTS']);
});

test('a cancel in the middle stops the work and runs the cleanup', () => {
  const tasks = states(planTransferExecution(['a'], false)).map((task) => ({
    ...task,
    status: (task.id === 'a/REPLICATE_DISKS' ? 'RUNNING' : task.onError ? 'SCHEDULED' : 'COMPLETED') as TaskStatus,
  }));
  expect(cancelTasks(tasks)).toEqual([{ id: 'a/REPLICATE_DISKS', from: 'RUNNING', to: 'CANCELLING' }]);
  const stopped = tasks.map((task) =>
    task.id === 'a/REPLICATE_DISKS' ? { ...task, status: 'CANCELED' as TaskStatus } : task,
  );
  expect(advance(stopped, true).start).toEqual([
    'a/DELETE_TRANSFER_SOURCE_RESOURCES',
    'a/DELETE_TRANSFER_TARGET_RESOURCES',
  ]);
  expect(deriveExecutionStatus(stopped, true)).toBe('CANCELLING');
});

test('a cancel before anything began leaves only unscheduled tasks and is CANCELED', () => {
  const { order, tasks } = walk(planTransferExecution(['a'], false), completes, true);
  expect(order).toEqual([]);
  expect(tasks.every((task) => task.status === 'UNSCHEDULED')).toBe(true);
  expect(deriveExecutionStatus(tasks, true)).toBe('CANCELED');
});

test('cleanup that runs when the cancel comes goes on under its own status', () => {
  const tasks = states(planTransferExecution(['a'], false)).map((task) => ({
    ...task,
    status: (task.onError ? 'RUNNING' : 'COMPLETED') as TaskStatus,
  }));
  expect(cancelTasks(tasks).map((change) => change.to)).toEqual([
    'CANCELLING_AFTER_COMPLETION',
    'CANCELLING_AFTER_COMPLETION',
  ]);
});

test('a force cancel ends every open task from any status by a legal transition', () => {
  for (const status of TASK_STATUSES) {
    const task: TaskState = { id: 't', instance: 'a', status, dependsOn: [], onError: false };
    const changes = forceCancelTasks([task]);
    for (const { from, to } of changes) expect(transition(TASK_TRANSITIONS, 'task t', from, to)).toBe(to);
    const end = changes[0]?.to ?? status;
    expect(isFinalTask(end) || end === 'EXECUTE_ON_ERROR_ONLY').toBe(true);
  }
});

test('tasks that wait for each other are stranded, not waited for', () => {
  const circle: TaskState[] = [
    { id: '1', instance: 'a', status: 'SCHEDULED', dependsOn: ['2'], onError: false },
    { id: '2', instance: 'a', status: 'SCHEDULED', dependsOn: ['1'], onError: false },
  ];
  expect(advance(circle, false).change.map((change) => change.to)).toEqual([
    'STRANDED_AFTER_DEADLOCK',
    'STRANDED_AFTER_DEADLOCK',
  ]);
});

test('an illegal transition is a typed error that names both ends', () => {
  expect(() => transition(TASK_TRANSITIONS, 'task t', 'COMPLETED', 'RUNNING')).toThrowError(
    expect.objectContaining({
      code: 'INTERNAL',
      details: expect.objectContaining({ from: 'COMPLETED', to: 'RUNNING' }),
    }),
  );
  expect(sourcesOf(TASK_TRANSITIONS, 'COMPLETED')).toEqual(['RUNNING', 'SYNCING']);
});

test('the tables name only known statuses, and each but the first is reached', () => {
  const reached = new Set(Object.values(TASK_TRANSITIONS).flat());
  for (const status of TASK_STATUSES) {
    expect(TASK_TRANSITIONS[status]).toBeDefined();
    expect(reached.has(status) || status === 'EXECUTE_ON_ERROR_ONLY').toBe(true);
  }
  const executions = new Set(Object.values(EXECUTION_TRANSITIONS).flat());
  for (const status of EXECUTION_STATUSES) {
    expect(executions.has(status) || status === 'UNEXECUTED' || status === 'PENDING').toBe(true);
  }
});

test('every plan depends only on tasks of its own instance that exist', () => {
  const plans = [
    planTransferExecution(['a', 'b'], true),
    planDeployment(['a', 'b'], true),
    planDeployment(['a', 'b'], false),
    planDisksDelete(['a', 'b']),
  ];
  for (const plan of plans) {
    const byKey = new Map(plan.map((task) => [task.key, task]));
    expect(plan.map((task) => task.index)).toEqual(plan.map((_, place) => place + 1));
    for (const task of plan) {
      for (const parent of task.dependsOn) expect(byKey.get(parent)?.instance).toBe(task.instance);
    }
  }
});

describe('machines of pools', () => {
  const uses = [
    { instance: 'a', role: 'source', pool: 'p' },
    { instance: 'a', role: 'destination', pool: 'q' },
  ] as const;

  test('are ready before the instance is shut down, and given back before what they held is deleted', () => {
    const { order } = walk(planTransferExecution(['a', 'b'], true, uses), completes);
    const at = (type: string) => order.indexOf(`a/${type}`);
    for (const side of ['SOURCE', 'DESTINATION']) {
      expect(at(`VALIDATE_${side}_MINION_POOL_COMPATIBILITY`)).toBeGreaterThan(at(`VALIDATE_TRANSFER_${side}_INPUTS`));
      expect(at(`VALIDATE_${side}_MINION_POOL_COMPATIBILITY`)).toBeLessThan(at('SHUTDOWN_INSTANCE'));
      expect(at(`RELEASE_${side}_MINION`)).toBeGreaterThan(at('REPLICATE_DISKS'));
    }
    expect(at('DELETE_TRANSFER_SOURCE_RESOURCES')).toBeGreaterThan(at('RELEASE_SOURCE_MINION'));
    expect(at('DELETE_TRANSFER_TARGET_RESOURCES')).toBeGreaterThan(at('RELEASE_DESTINATION_MINION'));
    expect(order.filter((id) => id.startsWith('b/') && id.includes('MINION'))).toEqual([]);
  });

  test('that were touched are given back, whatever fails; the others have no task to run', () => {
    const plan = planTransferExecution(['a'], false, uses);
    const failed = walk(plan, failing('a/VALIDATE_SOURCE_MINION_POOL_COMPATIBILITY'));
    expect(failed.order).toContain('a/RELEASE_SOURCE_MINION');
    expect(failed.order).not.toContain('a/REPLICATE_DISKS');
    const early = walk(plan, failing('a/VALIDATE_TRANSFER_SOURCE_INPUTS'));
    expect(early.order).not.toContain('a/RELEASE_SOURCE_MINION');
    expect(deriveExecutionStatus(early.tasks, false)).toBe('ERROR');
  });

  test('surround the deployment that they prepare', () => {
    const morphing = [{ instance: 'a', role: 'osmorphing', pool: 'p' }] as const;
    const { order } = walk(planDeployment(['a'], true, morphing), failing('a/DEPLOY_INSTANCE_RESOURCES'));
    expect(order.indexOf('a/VALIDATE_OSMORPHING_MINION_POOL_COMPATIBILITY')).toBeLessThan(
      order.indexOf('a/CREATE_TRANSFER_DISK_SNAPSHOTS'),
    );
    expect(order).toContain('a/RELEASE_OSMORPHING_MINION');
  });
});
