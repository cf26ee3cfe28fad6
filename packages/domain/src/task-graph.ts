import { MINION_TASKS, type MinionRole, type MinionUse } from './minion-role.ts';
import type { TaskStatus, TaskType } from './statuses.ts';
import { hasBegun, isFinalTask } from './task-status.ts';

/** A task as it is planned. `key` names it within the plan: `INSTANCE/TYPE`. */
export interface PlannedTask {
  key: string;
  /** Place in the execution, 1 and up. */
  index: number;
  instance: string;
  type: TaskType;
  /** Keys of tasks of the same instance. */
  dependsOn: string[];
  /** Cleanup: runs whatever became of the tasks it depends on, when one of them has begun. */
  onError: boolean;
  /** `EXECUTE_ON_ERROR_ONLY`: stays hidden unless its instance fails or is canceled. */
  status: 'SCHEDULED' | 'EXECUTE_ON_ERROR_ONLY';
}

interface Node {
  type: TaskType;
  dependsOn?: TaskType[];
  onError?: boolean;
  onErrorOnly?: boolean;
}

/**
 * One run of a transfer. Instances are planned side by side and never wait for each other.
 *
 * @param instances names or ids, as the transfer has them
 * @param shutdown stop each instance before its disks are frozen
 * @param uses machines of pools; each is ready before anything lasting is done to its instance
 */
export function planTransferExecution(
  instances: readonly string[],
  shutdown: boolean,
  uses: readonly MinionUse[] = [],
): PlannedTask[] {
  return plan(instances, (instance) => transferNodes(shutdown, rolesOf(uses, instance)));
}

function transferNodes(shutdown: boolean, roles: readonly MinionRole[]): Node[] {
  const ready = roles.map((role) => MINION_TASKS[role].ready);
  const nodes: Node[] = [
    { type: 'VALIDATE_TRANSFER_SOURCE_INPUTS' },
    { type: 'GET_INSTANCE_INFO' },
    { type: 'VALIDATE_TRANSFER_DESTINATION_INPUTS', dependsOn: ['GET_INSTANCE_INFO'] },
    {
      type: 'DEPLOY_TRANSFER_DISKS',
      dependsOn: ['VALIDATE_TRANSFER_SOURCE_INPUTS', 'VALIDATE_TRANSFER_DESTINATION_INPUTS'],
    },
  ];
  for (const role of roles) {
    const side = role === 'source' ? 'SOURCE' : 'DESTINATION';
    nodes.push({ type: MINION_TASKS[role].ready, dependsOn: [`VALIDATE_TRANSFER_${side}_INPUTS`] });
  }
  const prepared: TaskType[] = ['DEPLOY_TRANSFER_DISKS', ...ready];
  if (shutdown) nodes.push({ type: 'SHUTDOWN_INSTANCE', dependsOn: prepared });
  nodes.push({ type: 'REPLICATE_DISKS', dependsOn: shutdown ? ['SHUTDOWN_INSTANCE'] : prepared });
  for (const role of roles) nodes.push(releaseNode(role, ['REPLICATE_DISKS']));
  // What was made for the copy goes after the machine that held it has let go.
  const after = (role: MinionRole): TaskType[] => [
    'REPLICATE_DISKS',
    ...(roles.includes(role) ? [MINION_TASKS[role].release] : []),
  ];
  nodes.push(
    { type: 'DELETE_TRANSFER_SOURCE_RESOURCES', dependsOn: after('source'), onError: true },
    { type: 'DELETE_TRANSFER_TARGET_RESOURCES', dependsOn: after('destination'), onError: true },
  );
  return nodes;
}

/** Gives a machine back: always, when it has been touched. */
function releaseNode(role: MinionRole, users: TaskType[]): Node {
  const { ready, release } = MINION_TASKS[role];
  return { type: release, dependsOn: [ready, ...users], onError: true };
}

function rolesOf(uses: readonly MinionUse[], instance: string): MinionRole[] {
  return uses.filter((use) => use.instance === instance).map(({ role }) => role);
}

/**
 * Booting transferred disks. With `clone` the replica disks stay as they are, so there is nothing to restore.
 *
 * @param uses machines of pools that prepare operating systems
 */
export function planDeployment(
  instances: readonly string[],
  clone: boolean,
  uses: readonly MinionUse[] = [],
): PlannedTask[] {
  return plan(instances, (instance) => deploymentNodes(clone, rolesOf(uses, instance)));
}

function deploymentNodes(clone: boolean, roles: readonly MinionRole[]): Node[] {
  const ready = roles.map((role) => MINION_TASKS[role].ready);
  const nodes: Node[] = [
    { type: 'VALIDATE_DEPLOYMENT_INPUTS' },
    ...ready.map((type): Node => ({ type, dependsOn: ['VALIDATE_DEPLOYMENT_INPUTS'] })),
    { type: 'CREATE_TRANSFER_DISK_SNAPSHOTS', dependsOn: ['VALIDATE_DEPLOYMENT_INPUTS', ...ready] },
    { type: 'DEPLOY_INSTANCE_RESOURCES', dependsOn: ['CREATE_TRANSFER_DISK_SNAPSHOTS'] },
    { type: 'FINALIZE_INSTANCE_DEPLOYMENT', dependsOn: ['DEPLOY_INSTANCE_RESOURCES'] },
    {
      type: 'CLEANUP_FAILED_INSTANCE_DEPLOYMENT',
      dependsOn: ['DEPLOY_INSTANCE_RESOURCES', 'FINALIZE_INSTANCE_DEPLOYMENT'],
      onErrorOnly: true,
    },
  ];
  if (clone) {
    nodes.push({
      type: 'DELETE_TRANSFER_TARGET_DISK_SNAPSHOTS',
      dependsOn: [
        'CREATE_TRANSFER_DISK_SNAPSHOTS',
        'FINALIZE_INSTANCE_DEPLOYMENT',
        'CLEANUP_FAILED_INSTANCE_DEPLOYMENT',
      ],
      onError: true,
    });
  } else {
    nodes.push(
      { type: 'DELETE_TRANSFER_TARGET_DISK_SNAPSHOTS', dependsOn: ['FINALIZE_INSTANCE_DEPLOYMENT'] },
      {
        type: 'RESTORE_TRANSFER_DISK_SNAPSHOTS',
        dependsOn: [
          'CREATE_TRANSFER_DISK_SNAPSHOTS',
          'FINALIZE_INSTANCE_DEPLOYMENT',
          'CLEANUP_FAILED_INSTANCE_DEPLOYMENT',
        ],
        onErrorOnly: true,
      },
    );
  }
  for (const role of roles)
    nodes.push(releaseNode(role, ['DEPLOY_INSTANCE_RESOURCES', 'FINALIZE_INSTANCE_DEPLOYMENT']));
  return nodes;
}

/** New settings of a transfer: each end says whether it can work with them; only then they count. */
export function planTransferUpdate(instances: readonly string[]): PlannedTask[] {
  return plan(instances, [
    { type: 'GET_INSTANCE_INFO' },
    { type: 'UPDATE_SOURCE_TRANSFER' },
    { type: 'UPDATE_DESTINATION_TRANSFER', dependsOn: ['GET_INSTANCE_INFO', 'UPDATE_SOURCE_TRANSFER'] },
  ]);
}

/** Removal of the replica disks of a transfer. */
export function planDisksDelete(instances: readonly string[]): PlannedTask[] {
  return plan(instances, [
    { type: 'DELETE_TRANSFER_SOURCE_DISK_SNAPSHOTS' },
    { type: 'DELETE_TRANSFER_DISKS', dependsOn: ['DELETE_TRANSFER_SOURCE_DISK_SNAPSHOTS'] },
  ]);
}

function plan(
  instances: readonly string[],
  nodes: readonly Node[] | ((instance: string) => readonly Node[]),
): PlannedTask[] {
  const key = (instance: string, type: TaskType): string => `${instance}/${type}`;
  const tasks = instances.flatMap((instance) =>
    (typeof nodes === 'function' ? nodes(instance) : nodes).map((node) => ({ instance, node })),
  );
  return tasks.map(
    ({ instance, node }, place): PlannedTask => ({
      key: key(instance, node.type),
      index: place + 1,
      instance,
      type: node.type,
      dependsOn: (node.dependsOn ?? []).map((type) => key(instance, type)),
      onError: node.onError === true || node.onErrorOnly === true,
      status: node.onErrorOnly === true ? 'EXECUTE_ON_ERROR_ONLY' : 'SCHEDULED',
    }),
  );
}

/** What the start rule looks at. */
export interface TaskState {
  id: string;
  instance: string;
  status: TaskStatus;
  dependsOn: readonly string[];
  onError: boolean;
}

/** What happens next: tasks to start, and tasks whose status changes without work. */
export interface Advance {
  start: string[];
  change: { id: string; from: TaskStatus; to: TaskStatus }[];
}

/**
 * The start rule. Looks at each instance alone, so that the failure of one never reaches another.
 *
 * - An ordinary task starts when all it depends on has completed; otherwise it becomes UNSCHEDULED. With `canceling` none starts.
 * - Cleanup starts when all it depends on has ended and at least one of them has begun, and so may have left something.
 * - A hidden task joins in when its instance failed or is canceled, and starts when an ordinary task that it depends on has
 *   begun and not all of them completed: what was brought to its good end is not undone.
 * - Tasks that can neither start nor wait for anything are STRANDED_AFTER_DEADLOCK: a defect of the plan, made visible
 *   instead of hanging.
 */
export function advance(tasks: readonly TaskState[], canceling: boolean): Advance {
  const before = new Map(tasks.map((task) => [task.id, task]));
  const status = new Map(tasks.map((task) => [task.id, task.status]));
  const start = new Set<string>();
  for (const mine of Map.groupBy(tasks, (task) => task.instance).values()) {
    advanceInstance(mine, before, status, start, canceling);
  }
  const change = tasks.flatMap((task) => {
    const to = status.get(task.id) ?? task.status;
    return task.status === to ? [] : [{ id: task.id, from: task.status, to }];
  });
  return { start: [...start], change };
}

function advanceInstance(
  mine: readonly TaskState[],
  byId: ReadonlyMap<string, TaskState>,
  status: Map<string, TaskStatus>,
  start: Set<string>,
  canceling: boolean,
): void {
  const of = (id: string): TaskStatus => status.get(id) ?? 'UNSCHEDULED';
  const failed = canceling || mine.some((task) => !task.onError && isFinalTask(task.status) && !succeeded(task.status));
  /** A hidden task whose instance is well is as good as ended: it will never run. */
  const ended = (id: string): boolean => isFinalTask(of(id)) || (!failed && of(id) === 'EXECUTE_ON_ERROR_ONLY');
  const decide = (task: TaskState): 'start' | 'skip' | 'wait' => {
    const hidden = task.status === 'EXECUTE_ON_ERROR_ONLY';
    if (hidden && !failed) return 'wait';
    if (!task.onError && canceling) return 'skip';
    if (!task.dependsOn.every(ended)) return 'wait';
    if (!task.onError) return task.dependsOn.every((id) => succeeded(of(id))) ? 'start' : 'skip';
    if (!hidden) return task.dependsOn.some((id) => hasBegun(of(id))) ? 'start' : 'skip';
    const ordinary = task.dependsOn.filter((id) => byId.get(id)?.onError === false).map(of);
    return ordinary.some(hasBegun) && !ordinary.every(succeeded) ? 'start' : 'skip';
  };
  for (let moved = true; moved; ) {
    moved = false;
    for (const task of mine) {
      const now = of(task.id);
      if (start.has(task.id) || (now !== 'SCHEDULED' && now !== 'EXECUTE_ON_ERROR_ONLY')) continue;
      const next = decide(task);
      if (next === 'wait') continue;
      moved = true;
      status.set(task.id, next === 'start' ? 'SCHEDULED' : 'UNSCHEDULED');
      if (next === 'start') start.add(task.id);
    }
  }
  const active = mine.some(({ id }) => {
    const now = of(id);
    return start.has(id) || !(isFinalTask(now) || now === 'SCHEDULED' || now === 'EXECUTE_ON_ERROR_ONLY');
  });
  if (active) return;
  for (const { id } of mine) if (of(id) === 'SCHEDULED') status.set(id, 'STRANDED_AFTER_DEADLOCK');
}

function succeeded(status: TaskStatus): boolean {
  return status === 'COMPLETED';
}

/**
 * What a cooperative cancel does to the tasks at once: work under way is asked to stop, cleanup under way goes on, what
 * was handed out and not begun is taken back. The start rule does the rest.
 */
export function cancelTasks(tasks: readonly TaskState[]): Advance['change'] {
  return tasks.flatMap((task) => {
    const to = cancelTo(task);
    return to === null ? [] : [{ id: task.id, from: task.status, to }];
  });
}

function cancelTo(task: TaskState): TaskStatus | null {
  if (task.status === 'RUNNING') return task.onError ? 'CANCELLING_AFTER_COMPLETION' : 'CANCELLING';
  if (task.status === 'SYNCING') return 'CANCELLING';
  if (task.onError) return null;
  return task.status === 'PENDING' || task.status === 'STARTING' ? 'UNSCHEDULED' : null;
}

/** What a force cancel does: everything that is not ended ends now. */
export function forceCancelTasks(tasks: readonly TaskState[]): Advance['change'] {
  return tasks.flatMap((task) => {
    if (isFinalTask(task.status) || task.status === 'EXECUTE_ON_ERROR_ONLY') return [];
    const to: TaskStatus = task.status === 'SCHEDULED' ? 'UNSCHEDULED' : 'FORCE_CANCELED';
    return [{ id: task.id, from: task.status, to }];
  });
}
