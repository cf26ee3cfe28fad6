import { GodwitError, type JsonObject } from '@godwit/domain';
import type { Machine } from '@godwit/provider';
import { changeMachine, type Database, endMachine, type MachineChange, type MinionMachine } from '@godwit/store';
import type { Transaction } from 'kysely';
import type { PoolPlace } from './pool-place.ts';

/** Machines that are made one after the other when each proves to be of no use. */
const REMAKES = 2;

/** Work on machines of a pool, by the pool itself or by an execution that holds them. */
export interface MachineWork {
  readonly place: PoolPlace;
  /** Execution that holds the machine; null: the pool's own work. */
  readonly holder: string | null;
  /** One transaction in which this work certainly is the one that may. Rejects with `FENCED`. */
  owning<T>(work: (trx: Transaction<Database>) => Promise<T>): Promise<T>;
  /** Waits out what passes. */
  patiently<T>(work: () => Promise<T>): Promise<T>;
  /** A line for people. */
  say(message: string): void;
  /** A named stop point, see WorkerContext.reach. */
  reach(point: string): Promise<void>;
}

/**
 * Brings a machine to where it can be used, from whatever state it is in: makes it, switches it on, checks it; one that
 * proves to be of no use is removed and another takes its place. At the end it is AVAILABLE, or IN_USE by its holder.
 *
 * @returns the machine that can be used: maybe another one
 */
export async function bringUp(work: MachineWork, machine: MinionMachine): Promise<MinionMachine> {
  const { holder } = work;
  let row = machine;
  for (let remakes = 0; ; ) {
    if (row.allocation_status === 'DEALLOCATING') row = await replace(work, row);
    try {
      row = await prepare(work, row);
      return await change(work, row, {
        allocation_status: holder === null ? 'AVAILABLE' : 'IN_USE',
        power_status: 'POWERED_ON',
        used: row.last_used_at === null || holder !== null,
      });
    } catch (error) {
      if (!(error instanceof GodwitError) || error.code === 'FENCED' || error.code === 'CANCELED') throw error;
      if (error.code === 'MINION_UNUSABLE' && remakes < REMAKES) {
        remakes += 1;
        work.say(`${error.explain()} It is removed.`);
        row = await change(work, row, { allocation_status: 'DEALLOCATING' });
        continue;
      }
      // A holder tells how it was when it gives the machine back.
      if (holder === null) await markBroken(work, row);
      throw error;
    }
  }
}

/** Removes a machine for good. It is DEALLOCATING and nobody's. */
export async function removeMachine(work: MachineWork, machine: MinionMachine): Promise<void> {
  await removeFromPlatform(work, machine);
  await work.owning((trx) => endMachine(trx, machine, work.holder, false));
}

/** Proves that a machine is sound, and empties it. @throws GodwitError MINION_UNUSABLE */
export async function checkMachine({ patiently, place }: MachineWork, machine: MinionMachine): Promise<void> {
  const made = machineOf(machine);
  if (made === null) throw new GodwitError('MINION_UNUSABLE', `machine ${machine.id}`, { reason: 'it was never made' });
  await patiently(() => place.provider.checkMachine(place.context(machine), place.machine(machine), made));
}

/** Switches a machine off. It is POWERING_OFF. */
export async function powerOff(work: MachineWork, machine: MinionMachine): Promise<void> {
  const { patiently, place } = work;
  const made = machineOf(machine);
  if (made !== null) {
    await patiently(() => place.provider.stopMachine(place.context(machine), place.machine(machine), made));
  }
  await change(work, machine, { allocation_status: 'AVAILABLE', power_status: 'POWERED_OFF' });
}

/** What the provider made, as the machine's row keeps it; null while it is not made. */
export function machineOf(row: MinionMachine): Machine | null {
  const { provider_properties: properties } = row;
  if (properties === null || typeof properties.id !== 'string') return null;
  return {
    id: properties.id,
    connection: row.connection_info ?? {},
    handle: (properties.handle ?? {}) as JsonObject,
  };
}

/** @throws GodwitError CONFLICT: somebody else has it by now */
export async function change(work: MachineWork, row: MinionMachine, to: MachineChange): Promise<MinionMachine> {
  const changed = await work.owning((trx) => changeMachine(trx, row.id, work.holder, to));
  if (changed === undefined) throw taken(row);
  return changed;
}

async function prepare(work: MachineWork, row: MinionMachine): Promise<MinionMachine> {
  const { patiently, place, reach } = work;
  const request = place.machine(row);
  let made = machineOf(row);
  let present = row;
  if (made === null || ['UNINITIALIZED', 'ALLOCATING', 'ERROR_DEPLOYING'].includes(row.allocation_status)) {
    present = await change(work, row, { allocation_status: 'ALLOCATING', power_status: 'POWERING_ON' });
    await reach('MACHINE:making');
    const machine = await patiently(() => place.provider.createMachine(place.context(row), request));
    await reach('MACHINE:made');
    made = machine;
    present = await change(work, present, {
      allocation_status: 'ALLOCATING',
      connection_info: machine.connection,
      provider_properties: { id: machine.id, handle: machine.handle },
    });
  } else {
    const off = row.power_status !== 'POWERED_ON';
    const machine = made;
    present = await change(work, row, {
      allocation_status: 'HEALTHCHECKING',
      ...(off && { power_status: 'POWERING_ON' }),
    });
    if (off) await patiently(() => place.provider.startMachine(place.context(row), request, machine));
  }
  await reach('MACHINE:checking');
  await checkMachine(work, present);
  return present;
}

/** The machine is gone, and another one, still to be made, stands in its place. */
async function replace(work: MachineWork, row: MinionMachine): Promise<MinionMachine> {
  await removeFromPlatform(work, row);
  await work.reach('MACHINE:removed');
  const next = await work.owning((trx) => endMachine(trx, row, work.holder, true));
  if (next === undefined) throw taken(row);
  return next;
}

async function removeFromPlatform({ patiently, place }: MachineWork, row: MinionMachine): Promise<void> {
  await patiently(() => place.provider.deleteMachine(place.context(row), place.machine(row)));
}

async function markBroken(work: MachineWork, row: MinionMachine): Promise<void> {
  const allocation_status =
    machineOf(row) === null || row.allocation_status === 'ALLOCATING' ? 'ERROR_DEPLOYING' : 'ERROR';
  await work.owning(async (trx) => {
    await changeMachine(trx, row.id, work.holder, { allocation_status, power_status: 'UNKNOWN' });
  });
}

const taken = (row: MinionMachine): GodwitError =>
  new GodwitError('CONFLICT', `machine ${row.id}`, { reason: 'it was taken away; its pool was deallocated by force' });
