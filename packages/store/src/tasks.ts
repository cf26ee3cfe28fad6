import { randomUUID } from 'node:crypto';
import {
  type ErrorData,
  type EventLevel,
  GodwitError,
  isFinalTask,
  type Json,
  RUNNING_TASK_STATUSES,
  TASK_STATUSES,
  type TaskStatus,
  type TaskType,
} from '@godwit/domain';
import { sql } from 'kysely';
import type { Db } from './database.ts';
import { type DiskProgress, type ProgressUpdate, type Task, type TaskEvent, toJson } from './tables.ts';

export interface NewTask {
  id?: string;
  instance: string;
  taskType: TaskType;
  /** Default SCHEDULED. */
  status?: TaskStatus;
  /** Place in the execution, unique there. */
  index: number;
  /** Ids of tasks of the same execution; absent: none. */
  dependsOn?: string[];
  onError?: boolean;
}

/** Statuses that a task never leaves. */
export const FINAL_TASK_STATUSES: readonly TaskStatus[] = TASK_STATUSES.filter(isFinalTask);

export async function insertTasks(db: Db, executionId: string, tasks: NewTask[]): Promise<Task[]> {
  if (tasks.length === 0) return [];
  return db
    .insertInto('task')
    .values(
      tasks.map((task) => ({
        id: task.id ?? randomUUID(),
        execution_id: executionId,
        instance: task.instance,
        task_type: task.taskType,
        status: task.status ?? 'SCHEDULED',
        index: task.index,
        depends_on: task.dependsOn === undefined ? null : toJson(task.dependsOn),
        on_error: task.onError ?? false,
      })),
    )
    .returningAll()
    .execute();
}

export async function getTask(db: Db, id: string): Promise<Task | undefined> {
  return db.selectFrom('task').selectAll().where('id', '=', id).executeTakeFirst();
}

/** Tasks of executions in order of index, by execution id. */
export async function tasksOfExecutions(db: Db, executionIds: string[]): Promise<Map<string, Task[]>> {
  if (executionIds.length === 0) return new Map();
  const rows = await db
    .selectFrom('task')
    .selectAll()
    .where(sql<boolean>`execution_id = any(${executionIds})`)
    .orderBy('execution_id')
    .orderBy('index')
    .execute();
  return groupBy(rows, (row) => row.execution_id);
}

export async function listTasks(db: Db, executionId: string): Promise<Task[]> {
  return (await tasksOfExecutions(db, [executionId])).get(executionId) ?? [];
}

/**
 * Takes a task over for a worker and returns it with its new fencing number: from here on writes of every earlier attempt
 * are refused. Undefined when the task has ended.
 */
export async function claimTask(
  db: Db,
  id: string,
  worker: { host: string; processId: number },
): Promise<Task | undefined> {
  return db
    .updateTable('task')
    .set((eb) => ({
      attempt: eb('attempt', '+', 1),
      // What runs because of a cancel goes on saying so.
      status: sql<TaskStatus>`case when status like 'CANCELLING%' then status else 'RUNNING' end`,
      host: worker.host,
      process_id: worker.processId,
      heartbeat_at: sql<Date>`clock_timestamp()`,
      started_at: sql<Date>`coalesce(started_at, clock_timestamp())`,
      updated_at: sql<Date>`now()`,
    }))
    .where('id', '=', id)
    .where('status', 'not in', [...FINAL_TASK_STATUSES])
    .returningAll()
    .executeTakeFirst();
}

/**
 * Tells that attempt `attempt` still runs.
 *
 * @throws GodwitError FENCED when a newer attempt owns the task
 */
export async function heartbeatTask(db: Db, id: string, attempt: number): Promise<void> {
  const result = await db
    .updateTable('task')
    .set({ heartbeat_at: sql<Date>`clock_timestamp()` })
    .where('id', '=', id)
    .where('attempt', '=', attempt)
    .executeTakeFirst();
  if (result.numUpdatedRows === 0n) throw await fenced(db, id, attempt);
}

/** What a task has become; columns left out stay. */
export interface TaskOutcome {
  status: TaskStatus;
  exceptionDetails?: string | null;
  error?: ErrorData | null;
  result?: Json;
}

/**
 * Writes the outcome of attempt `attempt`; `attempt` undefined: whoever owns it (the parent marks tasks that never ran).
 *
 * @throws GodwitError FENCED when a newer attempt owns the task
 */
export async function setTask(db: Db, id: string, attempt: number | undefined, outcome: TaskOutcome): Promise<Task> {
  const final = FINAL_TASK_STATUSES.includes(outcome.status);
  const row = await db
    .updateTable('task')
    .set({
      status: outcome.status,
      updated_at: sql<Date>`now()`,
      ...(final && { finished_at: sql<Date>`clock_timestamp()` }),
      ...(outcome.exceptionDetails !== undefined && { exception_details: outcome.exceptionDetails }),
      ...(outcome.error !== undefined && { error: outcome.error === null ? null : toJson(outcome.error) }),
      ...(outcome.result !== undefined && { result: toJson(outcome.result) }),
    })
    .where('id', '=', id)
    .$if(attempt !== undefined, (q) => q.where('attempt', '=', attempt!))
    .returningAll()
    .executeTakeFirst();
  if (row === undefined) throw await fenced(db, id, attempt ?? 0);
  return row;
}

async function fenced(db: Db, id: string, attempt: number): Promise<GodwitError> {
  const task = await getTask(db, id);
  return task === undefined
    ? new GodwitError('NOT_FOUND', `Task with ID '${id}'`)
    : new GodwitError('FENCED', `task ${id}`, { owner: task.attempt, attempt });
}

/** Running tasks whose worker has been silent since `before`. */
export async function silentTasks(db: Db, before: Date): Promise<Task[]> {
  return db
    .selectFrom('task')
    .selectAll()
    .where('status', 'in', [...RUNNING_TASK_STATUSES])
    .where('heartbeat_at', '<', before)
    .execute();
}

/** Appends a line to the task's events. */
export async function addTaskEvent(db: Db, taskId: string, level: EventLevel, message: string): Promise<TaskEvent> {
  return atNextIndex(() =>
    db
      .insertInto('task_event')
      .values({
        id: randomUUID(),
        task_id: taskId,
        level,
        message,
        index: sql<number>`(select coalesce(max(index), 0) + 1 from task_event where task_id = ${taskId})`,
      })
      .onConflict((conflict) => conflict.doNothing())
      .returningAll()
      .executeTakeFirst(),
  );
}

/** Two that append at once compute the same index; the one that comes second computes anew. */
export async function atNextIndex<Row>(insert: () => Promise<Row | undefined>): Promise<Row> {
  for (;;) {
    const row = await insert();
    if (row !== undefined) return row;
  }
}

export interface NewProgress {
  message: string;
  currentStep?: number;
  /** Absent or 0: said once, no bar. */
  totalSteps?: number;
  disk?: DiskProgress;
}

/** Appends a progress update to a task; `setProgress` moves it later. */
export async function addProgress(db: Db, taskId: string, progress: NewProgress): Promise<ProgressUpdate> {
  return atNextIndex(() =>
    db
      .insertInto('progress_update')
      .values({
        id: randomUUID(),
        task_id: taskId,
        index: sql<number>`(select coalesce(max(index), 0) + 1 from progress_update where task_id = ${taskId})`,
        message: progress.message,
        current_step: progress.currentStep ?? 0,
        total_steps: progress.totalSteps ?? null,
        disk: progress.disk === undefined ? null : toJson(progress.disk),
      })
      .onConflict((conflict) => conflict.doNothing())
      .returningAll()
      .executeTakeFirst(),
  );
}

export async function setProgress(db: Db, id: string, progress: Partial<NewProgress>): Promise<void> {
  await db
    .updateTable('progress_update')
    .set({
      updated_at: sql<Date>`now()`,
      ...(progress.message !== undefined && { message: progress.message }),
      ...(progress.currentStep !== undefined && { current_step: progress.currentStep }),
      ...(progress.totalSteps !== undefined && { total_steps: progress.totalSteps }),
      ...(progress.disk !== undefined && { disk: toJson(progress.disk) }),
    })
    .where('id', '=', id)
    .execute();
}

/** A task as it is told to people: with all that it said, without what only workers use. */
export interface ToldTask extends Omit<Task, 'attempt' | 'heartbeat_at' | 'started_at' | 'finished_at' | 'result'> {
  /** In order of index. */
  events: TaskEvent[];
  /** In order of index. */
  progress: ProgressUpdate[];
}

/** A row inside a JSON value. */
type Written<Row> = Omit<Row, 'created_at' | 'updated_at' | 'deleted_at'> & {
  created_at: string;
  updated_at: string | null;
  deleted_at: string | null;
};

/** Tasks of executions in order of index, by execution id, with their events and progress, in one query. */
export async function toldTasks(db: Db, executionIds: string[]): Promise<Map<string, ToldTask[]>> {
  if (executionIds.length === 0) return new Map();
  const { rows } = await sql<
    Omit<ToldTask, 'events' | 'progress'> & {
      events: Written<TaskEvent>[] | null;
      progress: Written<ProgressUpdate>[] | null;
    }
  >`select id, execution_id, instance, task_type, status, index, depends_on, on_error, host, process_id, exception_details, error,
      created_at, updated_at, deleted_at,
      (select json_agg(said order by said.index) from task_event said where said.task_id = task.id) as events,
      (select json_agg(said order by said.index) from progress_update said where said.task_id = task.id) as progress
    from task where execution_id = any(${executionIds}) order by execution_id, index`.execute(db);
  const tasks = rows.map((row) => ({ ...row, events: read(row.events), progress: read(row.progress) }));
  return groupBy(tasks, (task) => task.execution_id);
}

function read<Row extends Pick<TaskEvent, 'created_at' | 'updated_at' | 'deleted_at'>>(rows: Written<Row>[] | null) {
  return (rows ?? []).map((row) => ({
    ...row,
    created_at: new Date(row.created_at),
    updated_at: row.updated_at === null ? null : new Date(row.updated_at),
    deleted_at: row.deleted_at === null ? null : new Date(row.deleted_at),
  }));
}

function groupBy<Row>(rows: Row[], key: (row: Row) => string): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const group = groups.get(key(row));
    if (group === undefined) groups.set(key(row), [row]);
    else group.push(row);
  }
  return groups;
}
