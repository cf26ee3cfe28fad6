import { randomUUID } from 'node:crypto';
import {
  ACTIVE_EXECUTION_STATUSES,
  type CancelMode,
  cancelTasks,
  forceCancelTasks,
  GodwitError,
  usesOfDeployment,
} from '@godwit/domain';
import {
  type Connection,
  connect,
  databaseError,
  deleteDeployment,
  deleteTransfer,
  type Execution,
  getEndpoint,
  getExecution,
  insertDeployment,
  listReplicaDisks,
  lockDeployment,
  nameActiveExecution,
  requestCancel,
  toJson,
  transact,
} from '@godwit/store';
import { sql } from 'kysely';
import { type Logger, pino } from 'pino';
import { beginTransfer, lockedTransfer, refuseWhileActive, refuseWhileDeploying } from './begin-transfer.ts';
import { askWorker, type CallDesk, openCallDesk } from './call-desk.ts';
import { REAP_CHANNEL } from './contract.ts';
import { despiteDeadlocks } from './database-retry.ts';
import { refuseUnfitDisks } from './deployable.ts';
import type {
  DeployTransferRequest,
  EngineClient,
  EngineClientOptions,
  ExecuteTransferRequest,
  StartedExecution,
  UpdateTransferRequest,
} from './engine-client.ts';
import { limitTransfer } from './limit-transfer.ts';
import { News } from './news.ts';
import { poolsOf, refuseUnfitPools } from './pools/fit.ts';
import { actOnPool } from './pools/start-operation.ts';
import type { CallOptions, ProviderCalls, ProviderMethod } from './provider-call.ts';
import { callOff } from './settle.ts';
import {
  type BegunExecution,
  becomeExecution,
  deploymentOf,
  type StartPlace,
  startDeployment,
  startDisksDelete,
  startUpdate,
} from './start.ts';
import { type BoardTask, changeTasks, taskStates } from './task-board.ts';
import { withChange } from './updated-transfer.ts';
import { explainWaiting } from './waiting.ts';

/** Connects the API process to the engine. Rejects with `DATABASE_UNAVAILABLE`. */
export async function connectEngine(options: EngineClientOptions): Promise<EngineClient> {
  const log = options.log ?? pino({ level: 'silent' });
  const connection = connect(options.databaseUrl, { applicationName: 'godwit-engine-client', max: 5, pipeline: true });
  try {
    const desk = await openCallDesk({ databaseUrl: options.databaseUrl, log });
    return new PostgresEngineClient(connection, desk, log);
  } catch (error) {
    await connection.close();
    throw GodwitError.wrap(error, 'DATABASE_UNAVAILABLE', 'the database');
  }
}

class PostgresEngineClient implements EngineClient {
  readonly #connection: Connection;
  readonly #desk: CallDesk;
  readonly #log: Logger;

  constructor(connection: Connection, desk: CallDesk, log: Logger) {
    this.#connection = connection;
    this.#desk = desk;
    this.#log = log;
  }

  executeTransfer(request: ExecuteTransferRequest): Promise<StartedExecution> {
    return this.#start(async (place) => started(await beginTransfer(place, request)));
  }

  updateTransfer(request: UpdateTransferRequest): Promise<StartedExecution> {
    return this.#start(async (place) => {
      const transfer = await lockedTransfer(place, request.transferId);
      await refuseWhileActive(place, transfer);
      await refuseWhileDeploying(place, transfer.id);
      const change = request.change(transfer);
      await refuseUnfitPools(place.trx, transfer, poolsOf(withChange(transfer, change)));
      return started(await startUpdate(place, transfer, change));
    });
  }

  limitTransfer(transferId: string, rateLimit: number | null): Promise<void> {
    return this.#start((place) => limitTransfer(place, transferId, rateLimit));
  }

  deploy(request: DeployTransferRequest): Promise<StartedExecution & { deploymentId: string }> {
    return this.#start(async (place) => {
      const transfer = await lockedTransfer(place, request.transferId);
      await refuseWhileActive(place, transfer);
      await refuseWhileDeploying(place, transfer.id);
      await refuseUnfitDisks(place.trx, transfer.id, transfer.instances, request.force === true);
      const test = request.test === true;
      const deployment = await insertDeployment(
        place.trx,
        deploymentOf(transfer, {
          user_id: request.userId,
          test,
          force: request.force === true,
          clone_disks: test || (request.cloneDisks ?? transfer.clone_disks),
          ...(request.skipOsMorphing !== undefined && { skip_os_morphing: request.skipOsMorphing }),
          ...(request.userScripts !== undefined && { user_scripts: toJson(request.userScripts) }),
          ...(request.osmorphingPoolMappings !== undefined && {
            instance_osmorphing_minion_pool_mappings: toJson(request.osmorphingPoolMappings),
          }),
        }),
      );
      await refuseUnfitPools(place.trx, deployment, usesOfDeployment(deployment));
      return { ...started(await startDeployment(place, deployment)), deploymentId: deployment.id };
    });
  }

  deleteDisks(transferId: string): Promise<StartedExecution> {
    return this.#start(async (place) => {
      const transfer = await lockedTransfer(place, transferId);
      await refuseWhileDeploying(place, transfer.id);
      const disks = await listReplicaDisks(place.trx, transferId);
      const instances = transfer.instances.filter((name) => disks.some((disk) => disk.instance === name));
      if (instances.length === 0) {
        throw new GodwitError('CONFLICT', `transfer ${transferId}`, { reason: 'it has no disks to delete' });
      }
      return started(await startDisksDelete(place, transfer, instances));
    });
  }

  async cancelExecution(executionId: string, force = false): Promise<void> {
    await this.#start(async (place) => {
      const execution = await getExecution(place.trx, executionId);
      if (execution === undefined) throw new GodwitError('NOT_FOUND', `Execution with ID '${executionId}'`);
      await cancel(place, execution, force ? 'force' : 'cooperative');
    });
  }

  async cancelDeployment(deploymentId: string, force = false): Promise<void> {
    const calledOff = await this.#start(async (place) => {
      const deployment = await lockDeployment(place.trx, deploymentId);
      if (deployment === undefined) throw new GodwitError('NOT_FOUND', `Deployment with ID '${deploymentId}'`);
      if (deployment.last_execution_status !== 'PENDING') return false;
      await callOff(place, deployment, 'CANCELED');
      return true;
    });
    if (calledOff) return;
    // In a transaction of its own: an execution is locked before what it is of, as its walker does.
    await this.#start(async (place) => {
      const execution = await place.trx
        .selectFrom('execution')
        .selectAll()
        .where('action_id', '=', deploymentId)
        .orderBy('number', 'desc')
        .limit(1)
        .executeTakeFirst();
      if (execution === undefined) {
        throw new GodwitError('CONFLICT', `deployment ${deploymentId}`, { reason: 'it has nothing to cancel' });
      }
      await cancel(place, execution, force ? 'force' : 'cooperative');
    });
  }

  async deleteDeployment(deploymentId: string): Promise<void> {
    await this.#start(async ({ trx }) => {
      const deployment = await lockDeployment(trx, deploymentId);
      if (deployment === undefined) throw new GodwitError('NOT_FOUND', `Deployment with ID '${deploymentId}'`);
      if (ACTIVE_EXECUTION_STATUSES.includes(deployment.last_execution_status)) {
        throw new GodwitError('CONFLICT', `deployment ${deploymentId}`, { reason: 'it is running; cancel it first' });
      }
      await deleteDeployment(trx, deploymentId);
      await sql`select pg_notify(${REAP_CHANNEL}, '')`.execute(trx);
    });
  }

  async deleteTransfer(transferId: string): Promise<void> {
    await this.#start(async (place) => {
      const transfer = await lockedTransfer(place, transferId);
      await refuseWhileActive(place, transfer);
      await refuseWhileDeploying(place, transfer.id);
      await deleteTransfer(place.trx, transferId);
      await sql`select pg_notify(${REAP_CHANNEL}, '')`.execute(place.trx);
    });
  }

  async actOnPool(poolId: string, action: 'allocate' | 'refresh' | 'deallocate', force = false): Promise<void> {
    await this.#start((place) => actOnPool(place, poolId, action, force));
  }

  async callProvider<M extends ProviderMethod>(
    endpointId: string,
    method: M,
    args: ProviderCalls[M]['args'],
    options: CallOptions = {},
  ): Promise<ProviderCalls[M]['result']> {
    try {
      const endpoint = await getEndpoint(this.#connection.db, endpointId);
      if (endpoint === undefined) throw new GodwitError('NOT_FOUND', `Endpoint with ID '${endpointId}'`);
      return await askWorker(this.#desk, this.#connection.db, endpoint, method, args, options);
    } catch (error) {
      throw asGodwit(error);
    }
  }

  async explainWaiting(): Promise<number> {
    try {
      return await explainWaiting(this.#connection.db);
    } catch (error) {
      throw asGodwit(error);
    }
  }

  async close(): Promise<void> {
    await this.#desk.close();
    await this.#connection.close();
  }

  async #start<T>(work: (place: StartPlace) => Promise<T>): Promise<T> {
    try {
      return await despiteDeadlocks(() => transact(this.#connection, (trx, commit) => work({ trx, commit })));
    } catch (error) {
      this.#log.debug({ err: error }, 'request refused');
      throw asGodwit(await this.#named(error));
    }
  }

  async #named(error: unknown): Promise<unknown> {
    return nameActiveExecution(this.#connection.db, error).catch((cause: unknown) => cause);
  }
}

const started = (execution: BegunExecution): StartedExecution => ({
  executionId: execution.id,
  number: execution.number,
  execution,
});

async function cancel(place: StartPlace, execution: Execution, mode: CancelMode): Promise<void> {
  const { trx } = place;
  // The walker locks the row too: whatever it was doing is done now, and what it does next it does knowing this.
  const locked = await trx
    .selectFrom('execution')
    .select('status')
    .where('id', '=', execution.id)
    .forUpdate()
    .executeTakeFirstOrThrow();
  const row = await requestCancel(trx, execution.id, mode);
  if (row === undefined) {
    throw new GodwitError('BAD_REQUEST', `execution ${execution.id}`, {
      reason: `No running task to be canceled: the execution is ${locked.status}`,
    });
  }
  const news = new News(await projectOf(place, execution));
  const tasks = await taskStates(trx, execution.id);
  if (mode === 'cooperative') {
    await changeTasks(trx, news, tasks, cancelTasks(tasks));
    if (row.status === 'RUNNING') await becomeExecution(trx, news, execution.id, 'CANCELLING');
    await news.write(trx);
    return;
  }
  await changeTasks(trx, news, tasks, forceCancelTasks(tasks), { fenceOff: true });
  await fenceOffDisks(place, execution, tasks);
  await becomeExecution(trx, news, execution.id, 'CANCELED');
  await news.write(trx);
  await sql`select pg_notify(${REAP_CHANNEL}, '')`.execute(trx);
}

/** A copy that hears nothing must not commit checkpoints either. */
async function fenceOffDisks({ trx }: StartPlace, execution: Execution, tasks: BoardTask[]): Promise<void> {
  const copying = tasks.filter((task) => task.type === 'REPLICATE_DISKS' && task.status === 'FORCE_CANCELED');
  if (copying.length === 0) return;
  await trx
    .updateTable('replica_disk')
    .set((eb) => ({ fence: eb('fence', '+', 1) }))
    .where('transfer_id', '=', execution.action_id)
    .where(
      'instance',
      'in',
      copying.map((task) => task.instance),
    )
    .execute();
}

async function projectOf({ trx }: StartPlace, execution: Execution): Promise<string> {
  const row = await trx
    .selectFrom(execution.action_type)
    .select('project_id')
    .where('id', '=', execution.action_id)
    .executeTakeFirstOrThrow();
  return row.project_id;
}

/** What a caller of the engine sees: one of ours, always. */
function asGodwit(error: unknown): GodwitError {
  return GodwitError.wrap(databaseError(error), 'INTERNAL', 'the engine', { id: randomUUID() });
}
