import { GodwitError, type MinionRole } from '@godwit/domain';
import { changeMachine, leasedMachine, type MinionMachine } from '@godwit/store';
import { whileDatabaseIsAway } from '../database-retry.ts';
import type { TaskContext } from '../task-context.ts';
import { releaseMachines } from './lease.ts';
import { bringUp, checkMachine, type MachineWork } from './machine-work.ts';
import { openPoolPlace } from './pool-place.ts';

/** Brings the machine of this execution, instance and role to where it can be used. Returns which it is. */
export async function readyMachine(context: TaskContext, role: MinionRole): Promise<MinionMachine> {
  const machine = await held(context, role);
  if (machine === undefined) {
    throw new GodwitError('CONFLICT', `the ${role} machine of ${context.task.instance}`, {
      reason: 'this execution holds none any more; its pool was deallocated by force',
    });
  }
  return bringUp(await workOn(context, machine), machine);
}

/** Makes sure of the machines before they are used again: after trouble, or after the death of a worker. */
export async function ensureMachines(context: TaskContext, roles: readonly MinionRole[]): Promise<void> {
  for (const role of roles) {
    const machine = await held(context, role);
    if (machine?.allocation_status === 'IN_USE' && context.task.attempt === 1) continue;
    await readyMachine(context, role);
  }
}

/** Trouble came while it was used: it is checked before it is used again. */
export async function doubtMachines(context: TaskContext, roles: readonly MinionRole[]): Promise<void> {
  for (const role of roles) {
    const machine = await held(context, role);
    if (machine?.allocation_status !== 'IN_USE') continue;
    await context.owning((trx) =>
      changeMachine(trx, machine.id, context.execution.id, { allocation_status: 'HEALTHCHECKING' }),
    );
  }
}

/**
 * Gives the machine back, emptied. One that proves to be of no use goes back as broken: the pool's upkeep sees to it.
 * Never fails for the machine's sake: what it was needed for is over.
 */
export async function giveBackMachine(context: TaskContext, role: MinionRole): Promise<void> {
  const machine = await held(context, role);
  if (machine === undefined) return;
  let clean = true;
  try {
    await checkMachine(await workOn(context, machine), machine);
  } catch (error) {
    const known = GodwitError.wrap(error, 'INTERNAL', `machine ${machine.id}`);
    if (context.signal.aborted || (known.kind === 'retryable' && known.code !== 'MINION_UNUSABLE')) throw known;
    clean = false;
    context.event('WARNING', known.explain());
  }
  await context.worker.reach(`${context.task.type}:checked`);
  const { execution, task } = context;
  await context.owning((trx) =>
    releaseMachines(trx, { executionId: execution.id, instance: task.instance, role }, clean),
  );
}

function held({ execution, retry, task, worker }: TaskContext, role: MinionRole): Promise<MinionMachine | undefined> {
  return whileDatabaseIsAway(retry, () => leasedMachine(worker.db, execution.id, task.instance, role));
}

async function workOn(context: TaskContext, machine: MinionMachine): Promise<MachineWork> {
  const { execution, log, retry, signal, worker } = context;
  const pool = await whileDatabaseIsAway(retry, () =>
    worker.db.selectFrom('minion_pool').selectAll().where('id', '=', machine.pool_id).executeTakeFirstOrThrow(),
  );
  return {
    place: await openPoolPlace(worker, pool, { log, signal }, (line) => context.say(line)),
    holder: execution.id,
    owning: (work) => context.owning(work),
    // The task as a whole is tried again.
    patiently: (work) => work(),
    say: (line) => context.event('WARNING', line),
    reach: worker.reach,
  };
}
