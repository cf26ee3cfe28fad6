import { describe, expect, it } from 'vitest';
import {
  allowed,
  type MachineView,
  MINION_MACHINE_TRANSITIONS,
  MINION_POOL_ACTIONS,
  MINION_POOL_STATUSES,
  MINION_POOL_TRANSITIONS,
  type MinionMachineStatus,
  type PoolView,
  planMachines,
  planRefresh,
} from '../src/index.ts';

const pool: PoolView = {
  minimum_minions: 1,
  maximum_minions: 4,
  minion_max_idle_time: 60,
  minion_retention_strategy: 'delete',
};
const NOW = 1_000_000_000;

function machine(id: string, more: Partial<MachineView> = {}): MachineView {
  return {
    id,
    allocation_status: 'AVAILABLE',
    power_status: 'POWERED_ON',
    allocated_action: null,
    last_used_at: NOW - 1_000,
    ...more,
  };
}

describe('the statuses of a minion pool', () => {
  it('lead from each action to its end', () => {
    const ways = [
      [
        'DEALLOCATED',
        'IN_MAINTENANCE',
        'VALIDATING_INPUTS',
        'ALLOCATING_SHARED_RESOURCES',
        'ALLOCATING_MACHINES',
        'ALLOCATED',
      ],
      ['ALLOCATED', 'IN_MAINTENANCE', 'DEALLOCATING_MACHINES', 'DEALLOCATING_SHARED_RESOURCES', 'DEALLOCATED'],
      ['ALLOCATED', 'IN_MAINTENANCE', 'ALLOCATED'],
      ['ERROR', 'IN_MAINTENANCE', 'DEALLOCATING_MACHINES'],
    ] as const;
    for (const way of ways) {
      for (const [n, to] of way.slice(1).entries()) {
        expect(allowed(MINION_POOL_TRANSITIONS, way[n]!, to), `${way[n]} to ${to}`).toBe(true);
      }
    }
  });

  it('may be left by force, whatever they are, and begin an action only through maintenance', () => {
    for (const status of MINION_POOL_STATUSES) {
      expect(allowed(MINION_POOL_TRANSITIONS, status, 'IN_MAINTENANCE'), status).toBe(true);
    }
    for (const status of Object.values(MINION_POOL_ACTIONS).flat()) {
      expect(MINION_POOL_TRANSITIONS[status], status).toEqual(['IN_MAINTENANCE']);
    }
  });

  it('of a machine in use never lead to another user without its being given back', () => {
    expect(MINION_MACHINE_TRANSITIONS.IN_USE).not.toContain('RESERVED');
    expect(MINION_MACHINE_TRANSITIONS.AVAILABLE).not.toContain('IN_USE');
  });
});

describe('machines for the instances of an action', () => {
  it('are free ones in their order, running ones first, then new ones', () => {
    const machines = [machine('a', { power_status: 'POWERED_OFF' }), machine('b'), machine('c')];
    expect(planMachines(pool, machines, ['one', 'two', 'three', 'four'])).toEqual({
      taken: [
        { instance: 'one', machine: 'b' },
        { instance: 'two', machine: 'c' },
        { instance: 'three', machine: 'a' },
      ],
      made: ['four'],
    });
  });

  it('are never those of another action, nor any that is not sound', () => {
    const statuses: MinionMachineStatus[] = ['RESERVED', 'IN_USE', 'ERROR'];
    const machines = statuses.map((allocation_status, n) => machine(`m${n}`, { allocation_status }));
    machines.push(machine('held', { allocated_action: 'other' }));
    expect(planMachines({ ...pool, maximum_minions: 5 }, machines, ['one'])).toEqual({ taken: [], made: ['one'] });
  });

  it('are not promised beyond the maximum', () => {
    const used = ['a', 'b', 'c'].map((id) => machine(id, { allocation_status: 'IN_USE', allocated_action: 'other' }));
    expect(planMachines(pool, used, ['one'])?.made).toEqual(['one']);
    expect(planMachines(pool, used, ['one', 'two'])).toBeNull();
  });

  it('are the same ones when the action asks again', () => {
    const machines = [machine('a'), machine('b', { allocation_status: 'RESERVED', allocated_action: 'mine' })];
    expect(planMachines(pool, machines, ['one', 'two'], { two: 'b' })).toEqual({
      taken: [
        { instance: 'one', machine: 'a' },
        { instance: 'two', machine: 'b' },
      ],
      made: [],
    });
    expect(planMachines(pool, machines, ['two'], { two: 'gone' })?.taken).toEqual([{ instance: 'two', machine: 'a' }]);
  });
});

describe('a refresh', () => {
  const idle = { last_used_at: NOW - 61_000 };

  it('deletes what is idle for too long, longest first, and keeps the minimum', () => {
    const machines = [machine('a', idle), machine('b', { last_used_at: NOW - 70_000 }), machine('c', idle)];
    expect(planRefresh(pool, machines, NOW)).toEqual({ delete: ['b', 'a'], powerOff: [], check: ['c'] });
  });

  it('switches off instead where the pool says so, once', () => {
    const off = { ...pool, minion_retention_strategy: 'poweroff' } as const;
    const machines = [machine('a', idle), machine('b', { ...idle, power_status: 'POWERED_OFF' }), machine('c')];
    expect(planRefresh(off, machines, NOW)).toEqual({ delete: [], powerOff: ['a'], check: ['c'] });
  });

  it('leaves machines in use alone, however long they are', () => {
    const used = { ...idle, allocation_status: 'IN_USE', allocated_action: 'x' } as const;
    const plan = planRefresh({ ...pool, minimum_minions: 0 }, [machine('a', used), machine('b', used)], NOW);
    expect(plan).toEqual({ delete: [], powerOff: [], check: [] });
  });

  it('gets rid of broken machines, or makes them anew when the minimum needs them', () => {
    const broken = machine('a', { allocation_status: 'ERROR_DEPLOYING', power_status: 'UNKNOWN' });
    expect(planRefresh(pool, [broken, machine('b')], NOW)).toEqual({ delete: ['a'], powerOff: [], check: ['b'] });
    expect(planRefresh(pool, [broken], NOW)).toEqual({ delete: [], powerOff: [], check: ['a'] });
  });
});
