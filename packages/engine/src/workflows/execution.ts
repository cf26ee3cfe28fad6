import {
  advance,
  deriveExecutionStatus,
  FINAL_EXECUTION_STATUSES,
  GodwitError,
  isFinalTask,
  RUNNING_TASK_STATUSES,
  type TaskStatus,
} from '@godwit/domain';
import { type Database, type Execution, toJson, transact } from '@godwit/store';
import type { Transaction } from 'kysely';
import { CONTROL_QUEUE, executionWorkflowId, taskWorkflowId } from '../contract.ts';
import { whileDatabaseIsAway } from '../database-retry.ts';
import { News } from '../news.ts';
import { knownOf } from '../overlooked.ts';
import { type Ends, endsOf, placeOf } from '../placement.ts';
import { leaseMachines } from '../pools/lease.ts';
import { runTask, type TaskOutcome } from '../run-task.ts';
import { settleExecution } from '../settle.ts';
import { becomeExecution, enqueueTask, type StartPlace } from '../start.ts';
import { type BoardTask, changeTasks, taskStates } from '../task-board.ts';
import { claimTasks, endTask } from '../task-end.ts';
import { sayOnce, servedRegions } from '../waiting.ts';
import type { WorkerContext } from '../worker-context.ts';

/** Between steps that no word asks for. What a lost notice was about is found sooner, by `wakeOverlooked`. */
const LOOK_MS = 30_000;
/** The same while its own rows do not tell it all: it waits for machines of pools, or its worker was disabled. */
const LOOK_CLOSELY_MS = 2_000;
/** How long the knowledge of who holds a handed-out task is good for: its workflow may have died. */
const HANDED_OUT_MS = 30_000;

/**
 * Walks the task graph of one execution to its end. It keeps nothing that the tables do not hold: each step locks the
 * execution, reads its tasks, writes what has ended and what begins, and commits. Whoever runs it again, after any
 * interruption, goes on from there; so the workflow around it records no steps of its own.
 */
export async function walkExecution(worker: WorkerContext, executionId: string): Promise<void> {
  const inbox = worker.runs.inbox(executionId);
  const walk = new Walk(worker, executionId);
  try {
    while (!(await walk.step())) {
      if (await walk.handedBack()) return;
      inbox.known = walk.known;
      await inbox.wait(walk.known === undefined ? LOOK_CLOSELY_MS : LOOK_MS);
    }
  } catch (error) {
    if (!(error instanceof Abandoned)) throw error;
    worker.log.warn({ execution: executionId }, 'another walk of this execution has begun; this one stands back');
    walk.leave();
  } finally {
    inbox.close();
  }
}

/**
 * Somebody else walks this execution now: this worker was thought dead, and is not. Two would take each other's tasks for
 * ever. The durable engine has given the workflow away, so that the end of this run of it says nothing.
 */
class Abandoned extends Error {}

/** Statuses in which somebody must have the task. */
const HELD: readonly TaskStatus[] = ['PENDING', ...RUNNING_TASK_STATUSES];

interface Ended {
  task: BoardTask;
  outcome: TaskOutcome;
}

interface Action {
  id: string;
  projectId: string;
  ends: Ends;
}

class Walk {
  readonly #worker: WorkerContext;
  readonly #executionId: string;
  /** Which walk of the execution this is; undefined before its first step. */
  #number: number | undefined;
  /** Its number, while the step that gave it is not committed. */
  #begins: number | undefined;
  /** Tasks that run in this process, with the attempt they run as. */
  readonly #here = new Map<string, number>();
  /** Ends that are not yet written. */
  readonly #ended: Ended[] = [];
  /** Tasks that were handed to a queue; undefined: not known, ask. */
  #handedOut: Set<string> | undefined;
  #handedOutAt = 0;
  #action: Action | undefined;
  #known: string | undefined;

  constructor(worker: WorkerContext, executionId: string) {
    this.#worker = worker;
    this.#executionId = executionId;
  }

  /** What it knew of the execution after its last step, see `knownOf`; undefined: more than its rows may let it go on. */
  get known(): string | undefined {
    return this.#known;
  }

  /** One transaction further. True when the execution has ended. */
  async step(): Promise<boolean> {
    const worker = this.#worker;
    const retry = { log: worker.log, signal: worker.heart.signal };
    return whileDatabaseIsAway(retry, async () => {
      worker.heart.check();
      if (this.#handedOut === undefined || performance.now() - this.#handedOutAt > HANDED_OUT_MS) {
        this.#handedOut = await this.#findHandedOut();
        this.#handedOutAt = performance.now();
      }
      const ended = [...this.#ended];
      try {
        const begun = await transact(worker.connection, (trx) => this.#advance({ trx }, ended));
        this.#number ??= this.#begins;
        this.#ended.splice(0, ended.length);
        for (const { task } of ended) this.#here.delete(task.id);
        if (begun === 'over') {
          worker.runs.cancel(this.#executionId, true);
          return true;
        }
        for (const task of begun) this.#run(task);
        return false;
      } catch (error) {
        // Whether it was committed is not known; what was handed out must be looked up again.
        this.#handedOut = undefined;
        throw error;
      }
    });
  }

  /**
   * A worker that is disabled begins nothing: once what it had begun has ended, the execution goes back to where any other
   * one takes it.
   */
  async handedBack(): Promise<boolean> {
    const { durable, log, service } = this.#worker;
    if (service.enabled || this.#here.size > 0) return false;
    await durable.resumeWorkflows([executionWorkflowId(this.#executionId)], { queueName: CONTROL_QUEUE });
    log.info({ execution: this.#executionId }, 'this worker is disabled: the execution waits for another one');
    return true;
  }

  /** Interrupts what runs here: others have it now. */
  leave(): void {
    for (const [taskId, attempt] of this.#here) this.#worker.runs.leave(taskId, attempt);
  }

  #run(task: BoardTask): void {
    this.#here.set(task.id, task.attempt);
    void runTask(this.#worker, task).then((outcome) => {
      this.#ended.push({ task, outcome });
      this.#worker.runs.wake(this.#executionId);
    });
  }

  async #advance(place: StartPlace, ended: Ended[]): Promise<BoardTask[] | 'over'> {
    const { trx } = place;
    const worker = this.#worker;
    const execution = await trx
      .selectFrom('execution')
      .selectAll()
      .where('id', '=', this.#executionId)
      .forUpdate()
      .executeTakeFirst();
    if (execution === undefined || FINAL_EXECUTION_STATUSES.includes(execution.status)) return 'over';
    await this.#beTheWalk(trx, execution);
    this.#action ??= await readAction(trx, execution);
    const { id: actionId, projectId, ends } = this.#action;
    this.#known = undefined;
    const news = new News(projectId);
    const tasks = await taskStates(trx, execution.id);
    const byId = new Map(tasks.map((task) => [task.id, task]));
    const canceling = execution.cancel_requested !== null;

    for (const { task, outcome } of ended) {
      const row = byId.get(task.id);
      if (row !== undefined) await endTask(trx, news, actionId, row, task.attempt, outcome);
    }
    if (canceling) worker.runs.cancel(execution.id, false);

    // What a former life of this walk ran here has no one to run it.
    const orphans = tasks.filter((task) => HELD.includes(task.status) && !this.#isHeld(task, ended));
    const given = orphans.filter((task) => task.status === 'CANCELLING');
    await changeTasks(
      trx,
      news,
      tasks,
      given.map((task) => ({ id: task.id, from: task.status, to: 'CANCELED' as const })),
      { fenceOff: true },
    );
    const again = orphans.filter((task) => !given.includes(task));

    if (execution.status === 'AWAITING_MINION_ALLOCATIONS' && !canceling) {
      const waits = await this.#holdMachines(place, execution, tasks, news);
      if (waits !== undefined) return waits;
    }

    const next = advance(tasks, canceling);
    await changeTasks(trx, news, tasks, next.change);
    const start = [...again, ...next.start.flatMap((id) => byId.get(id) ?? [])];
    if (!worker.service.enabled && start.length > 0) {
      await news.write(trx);
      return [];
    }
    const begun: BoardTask[] = [];
    const choice = ends.origin.regions.length > 1 || ends.destination.regions.length > 1;
    const elsewhere = (task: BoardTask): boolean => !placeOf(worker, task.type, ends).here;
    const served = choice && start.some(elsewhere) ? await servedRegions(trx) : undefined;
    for (const task of start) {
      const where = placeOf(worker, task.type, ends, served);
      if (where.here || again.includes(task)) {
        begun.push(task);
        continue;
      }
      await changeTasks(trx, news, tasks, [{ id: task.id, from: task.status, to: 'PENDING' }]);
      await enqueueTask(place, task.id, where.region, where.endpoint);
      this.#handedOut?.add(task.id);
    }
    await claimTasks(trx, news, worker.service, begun);

    const status = deriveExecutionStatus(tasks, canceling);
    if (FINAL_EXECUTION_STATUSES.includes(status)) {
      const over = await becomeExecution(trx, news, execution.id, status);
      await news.write(trx);
      if (over !== undefined) await settleExecution(place, over);
      return 'over';
    }
    if (status !== execution.status || execution.started_at === null) {
      await becomeExecution(trx, news, execution.id, status);
    }
    await news.write(trx);
    this.#known = knownOf({ ...execution, status }, this.#number ?? this.#begins ?? 0, tasks);
    return begun;
  }

  /** Takes the machines that the execution needs; undefined when it holds them and goes on. */
  async #holdMachines(
    { trx, ...place }: StartPlace,
    execution: Execution,
    tasks: BoardTask[],
    news: News,
  ): Promise<BoardTask[] | 'over' | undefined> {
    if (!this.#worker.service.enabled) return [];
    const end = await leaseMachines(trx, execution);
    if (end.state === 'leased') return undefined;
    const [first] = tasks;
    if (end.state === 'waiting') {
      if (first !== undefined) await sayOnce(trx, first.id, 'WARNING', end.reason);
      return [];
    }
    await changeTasks(
      trx,
      news,
      tasks,
      tasks
        .filter((task) => task.status === 'SCHEDULED')
        .map((task) => ({ id: task.id, from: task.status, to: task === first ? 'FAILED_TO_SCHEDULE' : 'UNSCHEDULED' })),
    );
    if (first !== undefined) {
      const error = new GodwitError('CONFLICT', `execution ${execution.id}`, { reason: end.reason });
      await sayOnce(trx, first.id, 'ERROR', end.reason);
      await trx
        .updateTable('task')
        .set({ exception_details: error.explain(), error: toJson(error.toData()) })
        .where('id', '=', first.id)
        .execute();
    }
    const over = await becomeExecution(trx, news, execution.id, 'ERROR_ALLOCATING_MINIONS');
    await news.write(trx);
    if (over !== undefined) await settleExecution({ trx, ...place }, over);
    return 'over';
  }

  /** Somebody runs it: this process (its end may be waiting to be written), or a worker that has it from a queue. */
  #isHeld(task: BoardTask, ended: Ended[]): boolean {
    if (this.#handedOut?.has(task.id) === true) return true;
    if (ended.some((one) => one.task.id === task.id && one.task.attempt === task.attempt)) return true;
    return this.#here.get(task.id) === task.attempt;
  }

  /**
   * The walk that began last is the one. It begins only while the durable engine says that the execution is this worker's:
   * one that lay still between being called and its first step may have been followed already.
   *
   * @throws Abandoned
   */
  async #beTheWalk(trx: Transaction<Database>, execution: Execution): Promise<void> {
    if (this.#number !== undefined) {
      if (execution.walk_no !== this.#number) throw new Abandoned();
      return;
    }
    const { durable, service } = this.#worker;
    const workflowIDs = [executionWorkflowId(execution.id)];
    const [workflow] = await durable.listWorkflows({ workflowIDs, loadInput: false, loadOutput: false });
    if (workflow?.status !== 'PENDING' || workflow.executorId !== service.executorId) throw new Abandoned();
    const row = await trx
      .updateTable('execution')
      .set((eb) => ({ walk_no: eb('walk_no', '+', 1) }))
      .where('id', '=', execution.id)
      .returning('walk_no')
      .executeTakeFirstOrThrow();
    this.#begins = row.walk_no;
  }

  async #findHandedOut(): Promise<Set<string>> {
    const open = await this.#worker.db
      .selectFrom('task')
      .select(['id', 'status'])
      .where('execution_id', '=', this.#executionId)
      .execute();
    const ids = open
      .filter((task) => !isFinalTask(task.status) && task.status !== 'SCHEDULED')
      .map((task) => taskWorkflowId(task.id));
    if (ids.length === 0) return new Set();
    const found = await this.#worker.durable.listWorkflows({ workflowIDs: ids, loadInput: false, loadOutput: false });
    const alive = new Set(
      found
        .filter((workflow) => ['ENQUEUED', 'PENDING', 'DELAYED'].includes(workflow.status))
        .map((workflow) => workflow.workflowID),
    );
    return new Set(open.filter((task) => alive.has(taskWorkflowId(task.id))).map((task) => task.id));
  }
}

async function readAction(trx: Transaction<Database>, execution: Execution): Promise<Action> {
  const action = await trx
    .selectFrom(execution.action_type)
    .select(['id', 'project_id', 'origin_endpoint_id', 'destination_endpoint_id'])
    .where('id', '=', execution.action_id)
    .executeTakeFirstOrThrow();
  return { id: action.id, projectId: action.project_id, ends: await endsOf(trx, action) };
}
