import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  changeMachine,
  endLeases,
  endMachine,
  insertMachine,
  insertMinionPool,
  leasedMachine,
  leaseMachine,
  type MinionPool,
  machinesOfPools,
  staleLeases,
} from '../src/index.ts';
import { createTestDatabase, type TestDatabase } from '../src/testing/test-database.ts';
import { makeEndpoint } from './rows.ts';

let database: TestDatabase;
let pool: MinionPool;
beforeAll(async () => {
  database = await createTestDatabase();
  pool = await insertMinionPool(database.db, {
    project_id: 'p1',
    user_id: 'u1',
    endpoint_id: await makeEndpoint(database.db),
    platform: 'source',
    name: 'helpers',
    notes: null,
    os_type: 'linux',
    environment_options: {},
    minimum_minions: 1,
    maximum_minions: 9,
    minion_max_idle_time: 60,
    minion_retention_strategy: 'delete',
  });
});
afterAll(() => database.drop());

const lease = () => ({ executionId: randomUUID(), instance: 'web', role: 'source', actionId: 't1' }) as const;
const free = async () => {
  const machine = await insertMachine(database.db, pool);
  await changeMachine(database.db, machine.id, null, { allocation_status: 'ALLOCATING' });
  await changeMachine(database.db, machine.id, null, { allocation_status: 'AVAILABLE', power_status: 'POWERED_ON' });
  return machine;
};
const living = async () => (await machinesOfPools(database.db, [pool.id])).get(pool.id) ?? [];

test('of many who want a machine at once exactly one gets it', async () => {
  const { id } = await free();
  const wanting = Array.from({ length: 20 }, lease);
  const got = await Promise.all(wanting.map((one) => leaseMachine(database.db, id, one)));
  expect(got.filter(Boolean)).toHaveLength(1);
  const winner = wanting[got.indexOf(true)]!;
  const held = await leasedMachine(database.db, winner.executionId, 'web', 'source');
  expect(held).toMatchObject({ id, allocation_status: 'RESERVED', allocated_action: 't1', lease_no: 1 });
});

test('one execution holds one machine for an instance and role', async () => {
  const [one, two] = [await free(), await free()];
  const mine = lease();
  expect(await leaseMachine(database.db, one.id, mine)).toBe(true);
  await expect(leaseMachine(database.db, two.id, mine)).rejects.toThrow(/minion_machine_lease/);
});

test('a machine is changed by its holder alone, and only as its states allow', async () => {
  const { id } = await free();
  const mine = lease();
  await leaseMachine(database.db, id, mine);
  const change = (holder: string | null, allocation_status: 'IN_USE' | 'HEALTHCHECKING') =>
    changeMachine(database.db, id, holder, { allocation_status });
  expect(await change(null, 'HEALTHCHECKING')).toBeUndefined();
  expect(await change('other', 'HEALTHCHECKING')).toBeUndefined();
  expect(await change(mine.executionId, 'IN_USE')).toBeUndefined();
  expect(await change(mine.executionId, 'HEALTHCHECKING')).toMatchObject({ allocation_status: 'HEALTHCHECKING' });
  expect(await change(mine.executionId, 'IN_USE')).toMatchObject({ allocation_status: 'IN_USE' });
});

test('what comes back untouched or proven is free, what is not is broken, what was never made is gone', async () => {
  const endsAs = async (clean: boolean, ...steps: ('HEALTHCHECKING' | 'IN_USE')[]) => {
    const { id } = await free();
    const mine = lease();
    await leaseMachine(database.db, id, mine);
    for (const allocation_status of steps)
      await changeMachine(database.db, id, mine.executionId, { allocation_status });
    expect(await endLeases(database.db, { executionId: mine.executionId }, clean)).toEqual([pool.id]);
    const row = (await living()).find((machine) => machine.id === id);
    expect(row).toMatchObject({ execution_id: null, allocated_action: null });
    return row?.allocation_status;
  };
  expect(await endsAs(false)).toBe('AVAILABLE');
  expect(await endsAs(true, 'HEALTHCHECKING', 'IN_USE')).toBe('AVAILABLE');
  expect(await endsAs(false, 'HEALTHCHECKING', 'IN_USE')).toBe('ERROR');
  const mine = lease();
  const unmade = await insertMachine(database.db, pool, mine);
  await endLeases(database.db, { executionId: mine.executionId });
  expect((await living()).some((machine) => machine.id === unmade.id)).toBe(false);
});

test('a machine that is replaced hands its lease on', async () => {
  const machine = await free();
  const mine = lease();
  await leaseMachine(database.db, machine.id, mine);
  await changeMachine(database.db, machine.id, mine.executionId, { allocation_status: 'DEALLOCATING' });
  expect(await endMachine(database.db, machine, 'other', true)).toBeUndefined();
  const next = await endMachine(database.db, machine, mine.executionId, true);
  expect(next).toMatchObject({ allocation_status: 'UNINITIALIZED', execution_id: mine.executionId });
  expect((await leasedMachine(database.db, mine.executionId, 'web', 'source'))?.id).toBe(next?.id);
});

test('leases of executions that are gone are found', async () => {
  const { id } = await free();
  const mine = lease();
  await leaseMachine(database.db, id, mine);
  expect(await staleLeases(database.db, 30_000)).toContain(mine.executionId);
});
