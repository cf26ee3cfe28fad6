import { setTimeout as sleep } from 'node:timers/promises';
import {
  type EventLevel,
  GodwitError,
  MINION_POOL_TRANSITIONS,
  type MinionPoolStatus,
  planRefresh,
  transition,
} from '@godwit/domain';
import {
  addPoolEvent,
  addPoolProgress,
  beginPoolWalk,
  changeMachine,
  changePool,
  type Database,
  insertMachine,
  lockMachines,
  lockMinionPool,
  type MinionMachine,
  type MinionPool,
  type PoolProgress,
} from '@godwit/store';
import type { Transaction } from 'kysely';
import type { Logger } from 'pino';
import { poolWorkflowId } from '../contract.ts';
import { whileDatabaseIsAway } from '../database-retry.ts';
import { viewOf, wakeWaiting } from '../pools/lease.ts';
import { bringUp, type MachineWork, powerOff, removeMachine } from '../pools/machine-work.ts';
import { openPoolPlace, type PoolPlace } from '../pools/pool-place.ts';
import { sayPool } from '../pools/start-operation.ts';
import { withRetry } from '../retry-policy.ts';
import type { WorkerContext } from '../worker-context.ts';

/** Machines are looked at this often without being asked to: the original's default. */
const UPKEEP_MS = 600_000;
/** The same after a machine could not be mended. */
const MEND_MS = 60_000;
/** How often a walk asks whether it is still wanted. */
const WATCH_MS = 1_000;

/**
 * Walks one operation of a pool to its end: allocate, refresh, deallocate, or upkeep. As with executions, all it knows
 * stands in the rows, so that whoever walks it again goes on from there; what was half done is done again, by key.
 */
export async function walkPool(worker: WorkerContext, poolId: string, operationNo: number): Promise<void> {
  const retry = { log: worker.log, signal: worker.heart.signal };
  await earlierWalkEnds(worker, poolId, operationNo);
  const pool = await whileDatabaseIsAway(retry, () => {
    worker.heart.check();
    return beginPoolWalk(worker.db, poolId, operationNo);
  });
  if (pool === undefined) return;
  const run = { taskId: `pool:${poolId}`, executionId: `pool:${poolId}`, attempt: pool.walk_no, onError: true };
  await worker.runs.run(run, async (stopped) => {
    const superseded = new AbortController();
    const signal = AbortSignal.any([stopped, superseded.signal]);
    const watch = watchOver(worker, pool, superseded);
    try {
      await new PoolWalk(worker, pool, signal).walk();
    } catch (error) {
      worker.heart.check();
      if (!(error instanceof GodwitError) || (error.code !== 'FENCED' && !signal.aborted)) throw error;
      worker.log.info({ pool: poolId, operation: pool.operation }, 'another operation of this minion pool has begun');
    } finally {
      clearInterval(watch);
    }
  });
}

/** An operation that was overtaken stops within a second or two; until then two would work on the same machines. */
async function earlierWalkEnds(worker: WorkerContext, poolId: string, operationNo: number): Promise<void> {
  if (operationNo <= 1) return;
  const workflowIDs = [poolWorkflowId(poolId, operationNo - 1)];
  for (;;) {
    worker.heart.check();
    const [earlier] = await worker.durable.listWorkflows({ workflowIDs, loadInput: false, loadOutput: false });
    if (earlier?.status !== 'PENDING') return;
    await sleep(200, undefined, { signal: worker.heart.signal });
  }
}

function watchOver(worker: WorkerContext, pool: MinionPool, superseded: AbortController): NodeJS.Timeout {
  return setInterval(() => {
    worker.db
      .selectFrom('minion_pool')
      .select('walk_no')
      .where('id', '=', pool.id)
      .where('operation_no', '=', pool.operation_no)
      .executeTakeFirst()
      .then(
        (row) => row?.walk_no !== pool.walk_no && superseded.abort(overtaken(pool)),
        (error: unknown) => worker.log.debug({ err: error, pool: pool.id }, 'cannot look after a minion pool now'),
      );
  }, WATCH_MS);
}

const overtaken = (pool: MinionPool): GodwitError =>
  new GodwitError('FENCED', `minion pool ${pool.id}`, { owner: 'a later operation', attempt: pool.operation_no });

class PoolWalk {
  readonly #worker: WorkerContext;
  readonly #pool: MinionPool;
  readonly #signal: AbortSignal;
  readonly #log: Logger;
  #status: MinionPoolStatus;
  /** What is said is written in order, behind the back of the work. */
  #said: Promise<unknown> = Promise.resolve();

  constructor(worker: WorkerContext, pool: MinionPool, signal: AbortSignal) {
    this.#worker = worker;
    this.#pool = pool;
    this.#signal = signal;
    this.#log = worker.log.child({ pool: pool.id, operation: pool.operation });
    this.#status = pool.status;
  }

  /** @throws GodwitError FENCED, CANCELED; any other end is written into the pool */
  async walk(): Promise<void> {
    const { operation } = this.#pool;
    try {
      if (operation !== 'upkeep' && this.#status !== 'IN_MAINTENANCE') await this.#become({ status: 'IN_MAINTENANCE' });
      const place = await this.#place(this.#pool);
      if (operation === 'allocate') await this.#allocate(place);
      else if (operation === 'deallocate') await this.#deallocate(place);
      else await this.#refresh(place);
    } catch (error) {
      if (this.#signal.aborted) throw this.#signal.reason;
      const known = GodwitError.wrap(error, 'INTERNAL', `minion pool ${this.#pool.name}`);
      if (known.code === 'FENCED') throw known;
      if (known.code === 'INTERNAL') this.#log.error({ err: error }, 'an operation of a minion pool failed');
      await this.#event('ERROR', known.explain());
      await this.#become(
        operation === 'upkeep'
          ? { operation: null, upkeepInMs: MEND_MS }
          : { status: 'ERROR', operation: null, upkeepInMs: null },
      );
    } finally {
      await this.#said;
    }
  }

  async #allocate(place: PoolPlace): Promise<void> {
    try {
      await this.#become({ status: 'VALIDATING_INPUTS' });
      await this.#step('Validating the options of the pool', 1, 3);
      await this.#patiently(() => place.provider.validate(place.context(), place.request));
      await this.#become({ status: 'ALLOCATING_SHARED_RESOURCES' });
      await this.#step('Making what the machines share', 2, 3);
      await this.#worker.reach('POOL:sharing');
      const shared = await this.#patiently(() => place.provider.createShared(place.context(), place.request));
      await this.#worker.reach('POOL:shared');
      const row = await this.#become({ status: 'ALLOCATING_MACHINES', shared_resources: shared });
      await this.#step(`Making ${row.minimum_minions} machine(s)`, 3, 3);
      const full = await this.#place(row);
      const work = this.#work(full);
      const machines = await this.#owning(async (trx) => {
        const living = await lockMachines(trx, row.id);
        for (let count = living.length; count < row.minimum_minions; count += 1) await insertMachine(trx, row);
        return lockMachines(trx, row.id);
      });
      const failures = await eachOf(machines, (machine) => bringUp(work, machine));
      if (failures.length > 0) throw failures[0];
      await this.#become({ status: 'ALLOCATED', operation: null, upkeepInMs: UPKEEP_MS });
    } catch (error) {
      if (this.#signal.aborted || isFenced(error)) throw error;
      // Nothing is left of a pool that could not be made, as far as that is possible.
      await this.#tearDown(place).catch((cause: unknown) => this.#complain(cause));
      throw error;
    }
    await wakeWaiting(this.#worker.db, [this.#pool.id]);
  }

  async #deallocate(place: PoolPlace): Promise<void> {
    await this.#become({ status: 'DEALLOCATING_MACHINES' });
    await this.#step('Removing the machines', 1, 2);
    await this.#removeMachines(place);
    await this.#become({ status: 'DEALLOCATING_SHARED_RESOURCES' });
    await this.#step('Removing what the machines shared', 2, 2);
    await this.#patiently(() => place.provider.deleteShared(place.context(), place.request));
    await this.#worker.reach('POOL:unshared');
    await this.#become({ status: 'DEALLOCATED', operation: null, shared_resources: null, upkeepInMs: null });
    await wakeWaiting(this.#worker.db, [this.#pool.id]);
  }

  async #refresh(place: PoolPlace): Promise<void> {
    const work = this.#work(place);
    const { removed, free } = await this.#owning(async (trx) => {
      const machines = await lockMachines(trx, this.#pool.id);
      return {
        free: machines.filter((machine) => machine.execution_id === null),
        removed: machines.filter(isLeftToRemove),
      };
    });
    const failures = await eachOf(removed, (machine) => removeMachine(work, machine));
    const interrupted = free.filter((machine) => INTERRUPTED.includes(machine.allocation_status));
    const plan = await this.#owning(async (trx) => {
      const machines = await lockMachines(trx, this.#pool.id);
      const made = planRefresh(this.#pool, machines.map(viewOf), Date.now());
      const claim = async (ids: readonly string[], allocation_status: 'DEALLOCATING' | 'POWERING_OFF') => {
        const rows = await Promise.all(ids.map((id) => changeMachine(trx, id, null, { allocation_status })));
        return rows.filter((row) => row !== undefined);
      };
      const broken = machines.filter((machine) => made.check.includes(machine.id));
      const sound = await Promise.all(
        broken
          .filter((machine) => machine.allocation_status !== 'ERROR_DEPLOYING')
          .map((machine) => changeMachine(trx, machine.id, null, { allocation_status: 'HEALTHCHECKING' })),
      );
      const unmade = broken.filter((machine) => machine.allocation_status === 'ERROR_DEPLOYING');
      const living = machines.length - made.delete.length;
      const missing = [];
      for (let count = living; count < this.#pool.minimum_minions; count += 1) {
        missing.push(await insertMachine(trx, this.#pool));
      }
      return {
        delete: await claim(made.delete, 'DEALLOCATING'),
        powerOff: await claim(made.powerOff, 'POWERING_OFF'),
        bringUp: [...sound.filter((row) => row !== undefined), ...unmade, ...missing, ...interrupted],
      };
    });
    const total = plan.delete.length + plan.powerOff.length + plan.bringUp.length;
    if (total > 0) {
      await this.#step(
        `Checking or making ${plan.bringUp.length} machine(s), removing ${plan.delete.length}, switching off ${plan.powerOff.length}`,
        1,
        1,
      );
    }
    failures.push(
      ...(await eachOf(plan.delete, (machine) => removeMachine(work, machine))),
      ...(await eachOf(plan.powerOff, (machine) => powerOff(work, machine))),
      ...(await eachOf(plan.bringUp, (machine) => bringUp(work, machine))),
    );
    if (this.#signal.aborted) throw this.#signal.reason;
    const fenced = failures.find(isFenced);
    if (fenced !== undefined) throw fenced;
    // What still works goes on working: a machine that cannot be mended does not close the pool.
    for (const failure of failures) await this.#complain(failure);
    await this.#become({
      operation: null,
      upkeepInMs: failures.length > 0 ? MEND_MS : UPKEEP_MS,
      ...(this.#pool.operation === 'refresh' && { status: 'ALLOCATED' }),
    });
    await wakeWaiting(this.#worker.db, [this.#pool.id]);
  }

  async #tearDown(place: PoolPlace): Promise<void> {
    await this.#removeMachines(place);
    await this.#patiently(() => place.provider.deleteShared(place.context(), place.request));
    await this.#owning((trx) => changePool(trx, this.#pool.id, { shared_resources: null }));
  }

  async #removeMachines(place: PoolPlace): Promise<void> {
    const machines = await this.#owning(async (trx) => {
      for (const machine of await lockMachines(trx, this.#pool.id)) {
        await changeMachine(trx, machine.id, null, { allocation_status: 'DEALLOCATING' });
      }
      return lockMachines(trx, this.#pool.id);
    });
    const work = this.#work(place);
    const failures = await eachOf(machines.filter(isLeftToRemove), (machine) => removeMachine(work, machine));
    if (failures.length > 0) throw failures[0];
    await this.#worker.reach('POOL:emptied');
  }

  #place(pool: MinionPool): Promise<PoolPlace> {
    return openPoolPlace(this.#worker, pool, { log: this.#log, signal: this.#signal }, (line) => this.#say(line));
  }

  #work(place: PoolPlace): MachineWork {
    return {
      place,
      holder: null,
      owning: (work) => this.#owning(work),
      patiently: (work) => this.#patiently(work),
      say: (line) => this.#say(line),
      reach: this.#worker.reach,
    };
  }

  #owning<T>(work: (trx: Transaction<Database>) => Promise<T>): Promise<T> {
    const { db, heart } = this.#worker;
    return whileDatabaseIsAway({ log: this.#log, signal: this.#signal }, () => {
      heart.check();
      return db.transaction().execute(async (trx) => {
        const row = await lockMinionPool(trx, this.#pool.id);
        if (row?.walk_no !== this.#pool.walk_no || row.operation_no !== this.#pool.operation_no) {
          throw overtaken(this.#pool);
        }
        return work(trx);
      });
    });
  }

  /** Trouble of the passing kind is waited out; a machine that is of no use is not. */
  #patiently<T>(work: () => Promise<T>): Promise<T> {
    return withRetry(
      {
        policy: this.#worker.retry,
        signal: this.#signal,
        progress: () => 0,
        retryable: (error): error is GodwitError =>
          error instanceof GodwitError && error.kind === 'retryable' && error.code !== 'MINION_UNUSABLE',
        onRetry: (error, waitMs) => {
          this.#log.warn({ err: error, waitMs }, 'will try again');
          this.#say(`${error.explain()} Trying again.`, 'WARNING');
        },
      },
      work,
    );
  }

  async #become(change: PoolProgress): Promise<MinionPool> {
    const { id, name } = this.#pool;
    return this.#owning(async (trx) => {
      const before = this.#status;
      if (change.status !== undefined && change.status !== before) {
        transition(MINION_POOL_TRANSITIONS, `minion pool ${name}`, before, change.status);
      }
      const row = await changePool(trx, id, change);
      await sayPool(trx, row, before);
      this.#status = row.status;
      return row;
    });
  }

  async #step(message: string, step: number, total: number): Promise<void> {
    await this.#owning((trx) => addPoolProgress(trx, this.#pool.id, message, step, total));
  }

  async #event(level: 'WARNING' | 'ERROR', message: string): Promise<void> {
    await this.#owning((trx) => addPoolEvent(trx, this.#pool.id, level, message));
  }

  async #complain(error: unknown): Promise<void> {
    const known = GodwitError.wrap(error, 'INTERNAL', `minion pool ${this.#pool.name}`);
    this.#log.warn({ err: known }, 'a machine of a minion pool makes trouble');
    await this.#event('WARNING', known.explain());
  }

  #say(line: string, level: EventLevel = 'INFO'): void {
    this.#said = this.#said
      .then(() => addPoolEvent(this.#worker.db, this.#pool.id, level, line))
      .catch((error: unknown) =>
        this.#log.debug({ err: error, line }, 'an event of a minion pool could not be written'),
      );
  }
}

/** What a walk that died was doing with machines that nobody holds. */
const INTERRUPTED: readonly MinionMachine['allocation_status'][] = [
  'UNINITIALIZED',
  'ALLOCATING',
  'HEALTHCHECKING',
  'POWERING_OFF',
];

const isLeftToRemove = (machine: MinionMachine): boolean =>
  machine.execution_id === null && machine.allocation_status === 'DEALLOCATING';

const isFenced = (error: unknown): error is GodwitError => error instanceof GodwitError && error.code === 'FENCED';

/** All side by side, each to its end. Returns what failed. */
async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<unknown[]> {
  const ends = await Promise.allSettled(items.map(work));
  return ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []));
}
