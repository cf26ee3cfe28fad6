import type { TransitionTable } from './transition.ts';

/** Statuses of a pool, spelled as the wire contract spells them. */
export const MINION_POOL_STATUSES = [
  'UNKNOWN',
  'ERROR',
  'DEALLOCATED',
  'VALIDATING_INPUTS',
  'ALLOCATING_SHARED_RESOURCES',
  'ALLOCATING_MACHINES',
  'DEALLOCATING_MACHINES',
  'DEALLOCATING_SHARED_RESOURCES',
  'ALLOCATED',
  'IN_MAINTENANCE',
] as const;
export type MinionPoolStatus = (typeof MINION_POOL_STATUSES)[number];

/** What a pool may become; docs/states.md is rendered from it. By force anything but DEALLOCATED goes to maintenance. */
export const MINION_POOL_TRANSITIONS: TransitionTable<MinionPoolStatus> = {
  UNKNOWN: ['IN_MAINTENANCE', 'ERROR'],
  ERROR: ['IN_MAINTENANCE'],
  DEALLOCATED: ['IN_MAINTENANCE'],
  IN_MAINTENANCE: ['IN_MAINTENANCE', 'VALIDATING_INPUTS', 'DEALLOCATING_MACHINES', 'ALLOCATED', 'ERROR'],
  VALIDATING_INPUTS: ['ALLOCATING_SHARED_RESOURCES', 'IN_MAINTENANCE', 'ERROR'],
  ALLOCATING_SHARED_RESOURCES: ['ALLOCATING_MACHINES', 'IN_MAINTENANCE', 'ERROR'],
  ALLOCATING_MACHINES: ['ALLOCATED', 'IN_MAINTENANCE', 'ERROR'],
  ALLOCATED: ['IN_MAINTENANCE'],
  DEALLOCATING_MACHINES: ['DEALLOCATING_SHARED_RESOURCES', 'IN_MAINTENANCE', 'ERROR'],
  DEALLOCATING_SHARED_RESOURCES: ['DEALLOCATED', 'IN_MAINTENANCE', 'ERROR'],
};

/** What may be asked of a pool. */
export type MinionPoolAction = 'allocate' | 'refresh' | 'deallocate';

/** Statuses in which an action may begin without force. */
export const MINION_POOL_ACTIONS: Readonly<Record<MinionPoolAction, readonly MinionPoolStatus[]>> = {
  allocate: ['DEALLOCATED'],
  refresh: ['ALLOCATED'],
  deallocate: ['ALLOCATED', 'ERROR'],
};

export const MINION_MACHINE_STATUSES = [
  'UNINITIALIZED',
  'ALLOCATING',
  'AVAILABLE',
  'RESERVED',
  'IN_USE',
  'HEALTHCHECKING',
  'DEALLOCATING',
  'POWERING_OFF',
  'POWER_ERROR',
  'ERROR',
  'ERROR_DEPLOYING',
] as const;
export type MinionMachineStatus = (typeof MINION_MACHINE_STATUSES)[number];

/** What a machine may become. One that fails its health check is removed (DEALLOCATING), and another takes its place. */
export const MINION_MACHINE_TRANSITIONS: TransitionTable<MinionMachineStatus> = {
  UNINITIALIZED: ['ALLOCATING', 'DEALLOCATING'],
  ALLOCATING: ['ALLOCATING', 'AVAILABLE', 'IN_USE', 'ERROR_DEPLOYING', 'DEALLOCATING'],
  AVAILABLE: ['RESERVED', 'HEALTHCHECKING', 'POWERING_OFF', 'DEALLOCATING'],
  RESERVED: ['HEALTHCHECKING', 'AVAILABLE', 'DEALLOCATING'],
  IN_USE: ['HEALTHCHECKING', 'AVAILABLE', 'ERROR', 'DEALLOCATING'],
  HEALTHCHECKING: ['HEALTHCHECKING', 'AVAILABLE', 'IN_USE', 'ERROR', 'DEALLOCATING'],
  DEALLOCATING: ['DEALLOCATING', 'ERROR'],
  POWERING_OFF: ['POWERING_OFF', 'HEALTHCHECKING', 'AVAILABLE', 'POWER_ERROR', 'DEALLOCATING'],
  ERROR: ['HEALTHCHECKING', 'DEALLOCATING'],
  ERROR_DEPLOYING: ['ALLOCATING', 'DEALLOCATING'],
  POWER_ERROR: ['HEALTHCHECKING', 'DEALLOCATING'],
};

export const MINION_POWER_STATUSES = [
  'UNKNOWN',
  'UNINITIALIZED',
  'POWERED_ON',
  'POWERED_OFF',
  'POWERING_ON',
  'POWERING_OFF',
] as const;
export type MinionPowerStatus = (typeof MINION_POWER_STATUSES)[number];

/** As much of a machine as decisions need. */
export interface MachineView {
  id: string;
  allocation_status: MinionMachineStatus;
  power_status: MinionPowerStatus;
  /** Action (transfer or deployment) that holds it. */
  allocated_action: string | null;
  /** ms since the epoch; null: never. */
  last_used_at: number | null;
}

/** As much of a pool as decisions need. */
export interface PoolView {
  minimum_minions: number;
  maximum_minions: number;
  /** Seconds. */
  minion_max_idle_time: number;
  minion_retention_strategy: 'delete' | 'poweroff';
}

/** Which machine each instance gets. */
export interface MachinePlan {
  /** Machines of the pool, by instance. */
  taken: { instance: string; machine: string }[];
  /** Instances that get a new machine. */
  made: string[];
}

/**
 * One machine for each instance of an action: what the action holds already, then free machines in their order (those that
 * run before those that are off), then new ones up to the maximum. Null: not enough.
 *
 * @param machines of the pool in fixed order
 * @param held machine by instance, from an earlier try of the same action
 */
export function planMachines(
  pool: PoolView,
  machines: readonly MachineView[],
  instances: readonly string[],
  held: Readonly<Record<string, string>> = {},
): MachinePlan | null {
  const living = new Set(machines.map(({ id }) => id));
  const plan: MachinePlan = { taken: [], made: [] };
  const free = machines.filter(isFree);
  const queue = [...free.filter(isOn), ...free.filter((machine) => !isOn(machine))];
  for (const instance of instances) {
    const own = held[instance];
    const machine = own !== undefined && living.has(own) ? own : queue.shift()?.id;
    if (machine === undefined) plan.made.push(instance);
    else plan.taken.push({ instance, machine });
  }
  return machines.length + plan.made.length > pool.maximum_minions ? null : plan;
}

/** What a refresh does with each machine of the pool. */
export interface RefreshPlan {
  delete: string[];
  powerOff: string[];
  /** Checked, and made anew when they fail. */
  check: string[];
}

/**
 * A refresh: machines idle for longer than the pool allows, above its minimum, are deleted or switched off, the one that is
 * idle longest first; other free machines that run are checked, broken ones made anew. Machines in use are left alone.
 *
 * @param now ms since the epoch
 */
export function planRefresh(pool: PoolView, machines: readonly MachineView[], now: number): RefreshPlan {
  const plan: RefreshPlan = { delete: [], powerOff: [], check: [] };
  const since = ({ last_used_at }: MachineView) => last_used_at ?? 0;
  const deleting = pool.minion_retention_strategy === 'delete';
  const counted = deleting ? machines : machines.filter(isOn);
  let spare = Math.max(0, counted.length - pool.minimum_minions);
  const byIdleTime = machines.toSorted((a, b) => since(a) - since(b));
  for (const machine of byIdleTime) {
    const broken = machine.allocated_action === null && BROKEN.includes(machine.allocation_status);
    if (!isFree(machine) && !broken) continue;
    const idle = now - since(machine) > pool.minion_max_idle_time * 1_000;
    if (spare > 0 && deleting && (idle || broken)) {
      spare--;
      plan.delete.push(machine.id);
    } else if (spare > 0 && !deleting && idle && isFree(machine) && isOn(machine)) {
      spare--;
      plan.powerOff.push(machine.id);
    } else if (broken || isOn(machine)) {
      plan.check.push(machine.id);
    }
  }
  return plan;
}

const BROKEN: readonly MinionMachineStatus[] = ['ERROR', 'ERROR_DEPLOYING', 'POWER_ERROR'];

function isFree({ allocation_status, allocated_action }: MachineView): boolean {
  return allocation_status === 'AVAILABLE' && allocated_action === null;
}

function isOn({ power_status }: MachineView): boolean {
  return power_status === 'POWERED_ON';
}
