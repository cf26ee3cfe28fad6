import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import {
  type EventLevel,
  GodwitError,
  type JsonObject,
  type MinionRole,
  usesOfDeployment,
  usesOfTransfer,
} from '@godwit/domain';
import type { Provider, ProviderContext, SourceProvider, TargetProvider } from '@godwit/provider';
import {
  addProgress,
  addTaskEvent,
  type Database,
  type Deployment,
  type Execution,
  getInfo,
  type LedgerOwner,
  leasedMachine,
  mergeInfo,
  openConnectionInfo,
  type Transfer,
} from '@godwit/store';
import type { Transaction } from 'kysely';
import type { Logger } from 'pino';
import { type DatabaseRetry, whileDatabaseIsAway } from './database-retry.ts';
import { taskLedger } from './ledger.ts';
import { machineOf } from './pools/machine-work.ts';
import type { BoardTask } from './task-board.ts';
import { transferIn } from './updated-transfer.ts';
import type { WorkerContext } from './worker-context.ts';

/** One end of a transfer, ready to be called. */
export interface Side {
  readonly provider: Provider;
  readonly context: ProviderContext;
  readonly endpointId: string;
}

/** What a task's body is given. It reads the blackboard and returns the keys it changes there; it knows no other task. */
export interface TaskContext {
  readonly worker: WorkerContext;
  readonly task: BoardTask;
  readonly execution: Execution;
  /** The transfer, also when the execution is a deployment's. */
  readonly transfer: Transfer;
  readonly deployment: Deployment | null;
  /** The instance's blackboard in this action, as it was when the task began. */
  readonly info: JsonObject;
  readonly signal: AbortSignal;
  readonly log: Logger;
  readonly retry: DatabaseRetry;
  source(): Promise<Side & { source: SourceProvider }>;
  target(): Promise<Side & { target: TargetProvider }>;
  /** The blackboard as it is now. */
  reread(): Promise<JsonObject>;
  /**
   * One transaction, in which this attempt certainly owns the task. Repeated while Postgres is away. Rejects with `FENCED`
   * when another attempt owns it.
   */
  owning<T>(work: (trx: Transaction<Database>) => Promise<T>): Promise<T>;
  /** Writes to the blackboard at once, for what must be known even when this task fails. Rejects with `FENCED`. */
  write(change: JsonObject): Promise<void>;
  /** A line for people, in the task's progress updates. Written behind the task's back, in order. */
  say(message: string): void;
  event(level: EventLevel, message: string): void;
  /** Bytes finished: patience with trouble starts anew. */
  gotOn(bytes: number): void;
  /** Waits until all that was said is written. */
  settle(): Promise<void>;
}

/** Reads what the task is about. Rejects with `NOT_FOUND` when its action is gone, `DATABASE_UNAVAILABLE`. */
export async function openTaskContext(
  worker: WorkerContext,
  task: BoardTask,
  signal: AbortSignal,
  log: Logger,
  gotOn: (bytes: number) => void,
): Promise<TaskContext> {
  const retry: DatabaseRetry = { log, signal };
  const { db } = worker;
  const { execution, transfer, deployment, info } = await whileDatabaseIsAway(retry, () => readAction(worker, task));
  const owner: LedgerOwner = {
    projectId: transfer.project_id,
    endpointId: '',
    transferId: transfer.id,
    deploymentId: deployment?.id ?? null,
    executionId: execution.id,
    taskId: task.id,
  };
  let said: Promise<unknown> = Promise.resolve();
  /** Lines are for people: a lost one must not fail the task, but it must not vanish unseen either. */
  const write = (line: string, work: () => Promise<unknown>): void => {
    said = said
      .then(() => whileDatabaseIsAway({ log, signal: worker.heart.signal }, work))
      .catch((error: unknown) => log.warn({ err: error, line }, 'a progress line could not be written'));
  };
  const say = (message: string): void => write(message, () => addProgress(db, task.id, { message }));
  const side = async (endpointId: string, role: MinionRole): Promise<Side> => {
    const endpoint = await whileDatabaseIsAway(retry, () =>
      db.selectFrom('endpoint').select(['id', 'name', 'type']).where('id', '=', endpointId).executeTakeFirst(),
    );
    if (endpoint === undefined) throw new GodwitError('NOT_FOUND', `Endpoint with ID '${endpointId}'`);
    const connectionInfo = await whileDatabaseIsAway(retry, () => openConnectionInfo(db, worker.secrets, endpointId));
    const workDir = await endpointWorkDir(worker, endpointId);
    const pooled = usesPool(transfer, deployment, task.instance, role);
    const machine = pooled
      ? await whileDatabaseIsAway(retry, () => leasedMachine(db, execution.id, task.instance, role))
      : undefined;
    return {
      provider: await worker.providers.get(endpoint.type),
      endpointId,
      context: {
        endpoint: `endpoint ${endpoint.name}`,
        connectionInfo,
        signal,
        ledger: taskLedger(db, { ...owner, endpointId }, retry),
        workDir,
        progress: say,
        ...(pooled && { pool: { machine: machine === undefined ? null : machineOf(machine) } }),
      },
    };
  };
  const owning = <T>(work: (trx: Transaction<Database>) => Promise<T>): Promise<T> =>
    whileDatabaseIsAway(retry, () => {
      worker.heart.check();
      return db.transaction().execute(async (trx) => {
        const row = await trx
          .selectFrom('task')
          .select('attempt')
          .where('id', '=', task.id)
          .forShare()
          .executeTakeFirst();
        if (row?.attempt !== task.attempt) {
          throw new GodwitError('FENCED', `task ${task.id}`, { owner: row?.attempt ?? null, attempt: task.attempt });
        }
        return work(trx);
      });
    });
  const action = deployment ?? transfer;
  return {
    worker,
    task,
    execution,
    transfer,
    deployment,
    info,
    signal,
    log,
    retry,
    source: async () => {
      const found = await side(action.origin_endpoint_id, 'source');
      const { source } = found.provider;
      if (source === undefined)
        throw new GodwitError('UNSUPPORTED', found.context.endpoint, { what: 'being a source' });
      return { ...found, source };
    },
    target: async () => {
      const found = await side(action.destination_endpoint_id, deployment === null ? 'destination' : 'osmorphing');
      const { target } = found.provider;
      if (target === undefined)
        throw new GodwitError('UNSUPPORTED', found.context.endpoint, { what: 'being a target' });
      return { ...found, target };
    },
    reread: () => whileDatabaseIsAway(retry, () => getInfo(db, execution.action_id, task.instance)),
    owning,
    write: (change) => owning((trx) => mergeInfo(trx, execution.action_id, task.instance, change)),
    say,
    event: (level, message) => write(message, () => addTaskEvent(db, task.id, level, message)),
    gotOn,
    settle: async () => {
      await said;
    },
  };
}

/** True when an end of the action works through a machine of a pool. */
function usesPool(transfer: Transfer, deployment: Deployment | null, instance: string, role: MinionRole): boolean {
  const uses = deployment === null ? usesOfTransfer(transfer) : usesOfDeployment(deployment);
  return uses.some((use) => use.instance === instance && use.role === role);
}

/** A folder of the worker's for one endpoint. Its name is short, because socket paths end at 107 bytes. */
export async function endpointWorkDir(worker: WorkerContext, endpointId: string): Promise<string> {
  let number = worker.endpointFolders.get(endpointId);
  if (number === undefined) {
    number = worker.endpointFolders.size;
    worker.endpointFolders.set(endpointId, number);
  }
  const workDir = path.join(worker.workDir, String(number));
  await mkdir(workDir, { recursive: true, mode: 0o700 });
  return workDir;
}

async function readAction(worker: WorkerContext, task: BoardTask) {
  const { db } = worker;
  const execution = await db.selectFrom('execution').selectAll().where('id', '=', task.executionId).executeTakeFirst();
  if (execution === undefined) throw new GodwitError('NOT_FOUND', `Execution with ID '${task.executionId}'`);
  const deployment =
    execution.action_type === 'deployment'
      ? ((await db.selectFrom('deployment').selectAll().where('id', '=', execution.action_id).executeTakeFirst()) ??
        null)
      : null;
  const transferId = deployment?.transfer_id ?? execution.action_id;
  const transfer = await db.selectFrom('transfer').selectAll().where('id', '=', transferId).executeTakeFirst();
  if (transfer === undefined) throw new GodwitError('NOT_FOUND', `Transfer with ID '${transferId}'`);
  const info = await getInfo(db, execution.action_id, task.instance);
  return { execution, deployment, transfer: transferIn(execution, transfer), info };
}
