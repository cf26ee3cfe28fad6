// Over 400 lines: what pools promise, over one installation and its worker, which each test hands on.
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { historyOfPool, listMinionPools, type MinionMachine, toldTasks } from '@godwit/store';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { expectEqualDisks, MIB, sparseBytes } from './disk-files.ts';
import { TestInstallation, type TestWorker } from './installation.ts';

let it: TestInstallation;
let origin: string;
let destination: string;
/** The present one; a test that kills it starts its successor. */
let worker: TestWorker;

beforeAll(async () => {
  it = await TestInstallation.start();
  origin = await it.endpoint('src');
  destination = await it.endpoint('dst');
  worker = it.worker({ host: 'phoenix' });
});
// What a failed test leaves would fail those after it.
afterEach(async () => {
  for (const { id, status } of await listMinionPools(it.db, undefined)) {
    if (status !== 'DEALLOCATED' && status !== 'ERROR') await removed(id);
  }
});
afterAll(async () => {
  await it[Symbol.asyncDispose]();
});

const folders = (endpoint: string): string[] => {
  const folder = path.join(it.folder(endpoint), '.machines');
  return existsSync(folder) ? readdirSync(folder) : [];
};
/** What was made and used there, each once. */
const made = (endpoint: string): string[] => {
  const file = `${it.folder(endpoint)}.made`;
  return existsSync(file) ? [...new Set(readFileSync(file, 'utf8').trim().split('\n'))] : [];
};
const machineFile = (endpoint: string, machine: MinionMachine | undefined, file: string): string =>
  path.join(it.folder(endpoint), '.machines', String(machine?.provider_properties?.id), file);
const statuses = async (pool: string): Promise<string[]> =>
  (await it.machines(pool)).map((machine) => machine.allocation_status).sort();
const messages = async (pool: string): Promise<string[]> =>
  (await historyOfPool(it.db, pool)).events.map((event) => event.message);
const removed = async (pool: string): Promise<void> => {
  await it.engine.actOnPool(pool, 'deallocate', true);
  await it.untilPool(pool, 'DEALLOCATED');
  expect(await it.machines(pool)).toEqual([]);
};
const nothingIsLeft = () =>
  it.eventually('nothing is left of the pools', async () => {
    const rows = await it.db
      .selectFrom('ledger')
      .selectAll()
      .where('keep', '=', 'pool')
      .where('state', '<>', 'removed')
      .execute();
    return rows.length === 0 && folders('src').length === 0 && folders('dst').length === 0;
  });

let count = 0;
const instance = (mib = 1): string => {
  count += 1;
  it.instance('src', `vm${count}`, { vda: sparseBytes(mib * MIB) });
  return `vm${count}`;
};
const transferThrough = (pool: string, names: string[], more: object = {}) =>
  it.transfer(origin, destination, names, { destination_minion_pool_id: pool, ...more });

describe('a pool', () => {
  test('goes through the statuses of the contract, makes its minimum and leaves nothing behind', async () => {
    const pool = await it.pool(destination, 'destination', { minimum_minions: 2, maximum_minions: 3 });
    await it.untilPool(pool, 'ALLOCATED');
    expect(await statuses(pool)).toEqual(['AVAILABLE', 'AVAILABLE']);
    expect(folders('dst')).toHaveLength(2);
    await it.engine.actOnPool(pool, 'deallocate');
    await it.untilPool(pool, 'DEALLOCATED');
    expect(await it.machines(pool)).toEqual([]);
    await nothingIsLeft();
    const passed = (await messages(pool)).flatMap((line) => / to '(\w+)'/.exec(line)?.[1] ?? []);
    expect(passed).toEqual([
      'IN_MAINTENANCE',
      'VALIDATING_INPUTS',
      'ALLOCATING_SHARED_RESOURCES',
      'ALLOCATING_MACHINES',
      'ALLOCATED',
      'IN_MAINTENANCE',
      'DEALLOCATING_MACHINES',
      'DEALLOCATING_SHARED_RESOURCES',
      'DEALLOCATED',
    ]);
  });

  test('that cannot be made ends in ERROR, says why, and leaves nothing behind', async () => {
    const refused = await it.pool(destination, 'destination', { environment_options: { size: 0 } });
    await it.untilPool(refused, 'ERROR');
    expect((await messages(refused)).join('\n')).toContain('a machine of size 0 cannot be made');
    writeFileSync(path.join(it.folder('dst'), '.full'), '');
    const full = await it.pool(destination, 'destination', { minimum_minions: 2, maximum_minions: 2 });
    await it.untilPool(full, 'ERROR');
    rmSync(path.join(it.folder('dst'), '.full'));
    expect((await messages(full)).join('\n')).toContain('the folder is full');
    expect(await it.machines(full)).toEqual([]);
    await nothingIsLeft();
  });

  test.each(['POOL:sharing', 'MACHINE:making', 'MACHINE:made'])(
    'whose worker is killed at %s while it is made has its machines once',
    async (point) => {
      const before = made('dst').length;
      await worker.stopAt({ point, action: 'kill' });
      const pool = await it.pool(destination, 'destination', { minimum_minions: 2, maximum_minions: 2 });
      await worker.exited;
      worker = it.worker({ host: 'phoenix' });
      await it.untilPool(pool, 'ALLOCATED');
      expect(made('dst').slice(before)).toHaveLength(2);
      expect(folders('dst')).toHaveLength(2);
      await removed(pool);
      await nothingIsLeft();
    },
  );

  test.each(['POOL:emptied', 'POOL:unshared'])(
    'whose worker is killed at %s while it is removed is removed',
    async (point) => {
      const pool = await it.pool(destination, 'destination', { minimum_minions: 2, maximum_minions: 2 });
      await it.untilPool(pool, 'ALLOCATED');
      await worker.stopAt({ point, action: 'kill' });
      await it.engine.actOnPool(pool, 'deallocate');
      await worker.exited;
      worker = it.worker({ host: 'phoenix' });
      await it.untilPool(pool, 'DEALLOCATED');
      await nothingIsLeft();
    },
  );

  test('has a broken machine replaced by a refresh, also when the worker is killed in between', async () => {
    const pool = await it.pool(destination, 'destination');
    await it.untilPool(pool, 'ALLOCATED');
    const [before] = await it.machines(pool);
    writeFileSync(machineFile('dst', before, 'broken'), '');
    await worker.stopAt({ point: 'MACHINE:removed', action: 'kill' });
    await it.engine.actOnPool(pool, 'refresh');
    await worker.exited;
    worker = it.worker({ host: 'phoenix' });
    await it.untilPool(pool, 'ALLOCATED');
    const [after, ...others] = await it.machines(pool);
    expect(others).toEqual([]);
    expect(after?.id).not.toBe(before?.id);
    expect(after?.allocation_status).toBe('AVAILABLE');
    expect(folders('dst')).toEqual([String(after?.provider_properties?.id)]);
    await removed(pool);
  });

  test('is not asked for what its state forbids', async () => {
    const pool = await it.pool(destination, 'destination', { allocate: false });
    await expect(it.engine.actOnPool(pool, 'refresh')).rejects.toMatchObject({ code: 'BAD_REQUEST' });
    await expect(it.engine.actOnPool(pool, 'deallocate')).rejects.toMatchObject({ code: 'BAD_REQUEST' });
    await expect(it.engine.actOnPool('nope', 'allocate')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('an execution', () => {
  test('works through a machine of each side and gives both back', async () => {
    const pools = [await it.pool(origin, 'source'), await it.pool(destination, 'destination')] as const;
    for (const pool of pools) await it.untilPool(pool, 'ALLOCATED');
    const name = instance();
    const transfer = await transferThrough(pools[1], [name], { origin_minion_pool_id: pools[0] });
    const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
    expect(await it.until(executionId)).toBe('COMPLETED');
    await expectEqualDisks(it, transfer.id, [name]);
    for (const [n, endpoint] of ['src', 'dst'].entries()) {
      const [machine] = await it.machines(pools[n]!);
      expect(machine).toMatchObject({ allocation_status: 'AVAILABLE', allocated_action: null, execution_id: null });
      expect(
        made(endpoint).filter((line) => line.startsWith(`used ${machine?.provider_properties?.id} `)),
      ).toHaveLength(1);
    }
    const types = (await it.tasks(executionId)).map((task) => `${task.task_type} ${task.status}`);
    expect(types).toEqual(
      expect.arrayContaining([
        'VALIDATE_SOURCE_MINION_POOL_COMPATIBILITY COMPLETED',
        'VALIDATE_DESTINATION_MINION_POOL_COMPATIBILITY COMPLETED',
        'RELEASE_SOURCE_MINION COMPLETED',
        'RELEASE_DESTINATION_MINION COMPLETED',
      ]),
    );
    for (const pool of pools) await removed(pool);
  });

  test('waits for a machine and says so, makes one up to the maximum, and the spare one goes when it idles', async () => {
    const pool = await it.pool(destination, 'destination', { maximum_minions: 2, minion_max_idle_time: 0 });
    await it.untilPool(pool, 'ALLOCATED');
    await worker.stopAt({ point: 'REPLICATE_DISKS:frozen', action: 'pause', times: 2 });
    const runs = [];
    for (let n = 0; n < 3; n += 1) {
      const transfer = await transferThrough(pool, [instance()]);
      runs.push(await it.engine.executeTransfer({ transferId: transfer.id }));
    }
    const [, , last] = runs;
    await it.eventually('two hold a machine', () => worker.reached.length === 2);
    expect(await statuses(pool)).toEqual(['IN_USE', 'IN_USE']);
    expect(await it.until(last!.executionId, ['AWAITING_MINION_ALLOCATIONS'])).toBe('AWAITING_MINION_ALLOCATIONS');
    await it.eventually('it says why it waits', async () => {
      const { executionId } = last!;
      const [first] = (await toldTasks(it.db, [executionId])).get(executionId) ?? [];
      const said = first!.events.map((event) => event.message);
      return said.some((line) =>
        line.includes("Waiting for 1 machine(s) of minion pool 'helpers': of at most 2, 2 are in use"),
      );
    });
    await expect(it.engine.actOnPool(pool, 'deallocate')).rejects.toMatchObject({ code: 'BAD_REQUEST' });
    worker.goOn('REPLICATE_DISKS:frozen');
    for (const { executionId } of runs) expect(await it.until(executionId)).toBe('COMPLETED');
    await it.eventually('the spare machine goes', async () => (await it.machines(pool)).length === 1);
    await removed(pool);
    await nothingIsLeft();
  });

  test('that waits can be canceled, and ends in ERROR_ALLOCATING_MINIONS when its pool has no machines', async () => {
    const pool = await it.pool(destination, 'destination', { allocate: false });
    const transfer = await transferThrough(pool, [instance()]);
    const refused = await it.engine.executeTransfer({ transferId: transfer.id });
    expect(await it.until(refused.executionId)).toBe('ERROR_ALLOCATING_MINIONS');
    const [first, ...others] = await it.tasks(refused.executionId);
    expect(first?.status).toBe('FAILED_TO_SCHEDULE');
    expect(first?.exception_details).toContain("is in 'DEALLOCATED' status instead of the expected 'ALLOCATED'");
    expect(new Set(others.map((task) => task.status))).toEqual(new Set(['UNSCHEDULED']));
    await worker.stopAt({ point: 'POOL:sharing', action: 'pause' });
    await it.engine.actOnPool(pool, 'allocate');
    await it.eventually('the pool is being made', () => worker.reached.length === 1);
    const waiting = await it.engine.executeTransfer({ transferId: transfer.id });
    expect(await it.until(waiting.executionId, ['AWAITING_MINION_ALLOCATIONS'])).toBe('AWAITING_MINION_ALLOCATIONS');
    await it.engine.cancelExecution(waiting.executionId);
    expect(await it.until(waiting.executionId)).toBe('CANCELED');
    worker.goOn('POOL:sharing');
    await it.untilPool(pool, 'ALLOCATED');
    await removed(pool);
  });

  test('is refused a pool of another endpoint or side, or one that is too small', async () => {
    const pool = await it.pool(destination, 'destination', { allocate: false });
    const refusal = async (names: string[], pools: object) => {
      const transfer = await it.transfer(origin, destination, names, pools);
      return it.engine.executeTransfer({ transferId: transfer.id }).catch((error: Error) => error.message);
    };
    expect(await refusal(['a'], { origin_minion_pool_id: pool })).toContain('belongs to a different endpoint');
    expect(await refusal(['a', 'b'], { destination_minion_pool_id: pool })).toContain('lower maximum minion count (1)');
    expect(await refusal(['a'], { destination_minion_pool_id: 'gone' })).toContain('Could not find minion pool');
  });

  test.each([
    'VALIDATE_DESTINATION_MINION_POOL_COMPATIBILITY:begin',
    'MACHINE:made',
    'REPLICATE_DISKS:copied',
    'RELEASE_DESTINATION_MINION:checked',
  ])('whose worker is killed at %s goes on with its one machine, which comes back', async (point) => {
    const pool = await it.pool(destination, 'destination', { minimum_minions: 1, maximum_minions: 2 });
    await it.untilPool(pool, 'ALLOCATED');
    // The machine that is there is taken by another one, so that a new one has to be made.
    await worker.stopAt({ point: 'DEPLOY_TRANSFER_DISKS:begin', action: 'pause' });
    const other = await transferThrough(pool, [instance()]);
    const blocking = await it.engine.executeTransfer({ transferId: other.id });
    await it.eventually('the other one holds a machine', () => worker.reached.length === 1);
    await worker.stopAt({ point, action: 'kill' });
    const name = instance();
    const transfer = await transferThrough(pool, [name]);
    const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
    await worker.exited;
    worker = it.worker({ host: 'phoenix' });
    expect(await it.until(executionId)).toBe('COMPLETED');
    expect(await it.until(blocking.executionId)).toBe('COMPLETED');
    await expectEqualDisks(it, transfer.id, [name]);
    expect(await statuses(pool)).toEqual(['AVAILABLE', 'AVAILABLE']);
    expect(folders('dst')).toHaveLength(2);
    await removed(pool);
  });

  test('goes on with another machine when its own breaks in mid-copy', async () => {
    const pool = await it.pool(destination, 'destination');
    await it.untilPool(pool, 'ALLOCATED');
    const [before] = await it.machines(pool);
    await worker.stopAt({ point: 'REPLICATE_DISKS:checked', action: 'busy' });
    const name = instance();
    const transfer = await transferThrough(pool, [name]);
    await worker.stopAt({ point: 'REPLICATE_DISKS:copied', action: 'pause' });
    const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
    await it.eventually('it copies', () => worker.reached.includes('REPLICATE_DISKS:copied'));
    writeFileSync(machineFile('dst', before, 'broken'), '');
    worker.goOn('REPLICATE_DISKS:copied');
    expect(await it.until(executionId)).toBe('COMPLETED');
    const [after] = await it.machines(pool);
    expect(after?.id).not.toBe(before?.id);
    await expectEqualDisks(it, transfer.id, [name]);
    await removed(pool);
    await nothingIsLeft();
  });

  test('keeps its machine for a while after a cancel by force, then it is checked and free', async () => {
    const pool = await it.pool(destination, 'destination');
    await it.untilPool(pool, 'ALLOCATED');
    const transfer = await transferThrough(pool, [instance()]);
    await worker.stopAt({ point: 'REPLICATE_DISKS:frozen', action: 'pause' });
    const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
    await it.eventually('it holds a machine', () => worker.reached.length === 1);
    await it.engine.cancelExecution(executionId, true);
    expect(await it.until(executionId)).toBe('CANCELED');
    expect((await it.machines(pool))[0]?.execution_id).toBe(executionId);
    worker.goOn('REPLICATE_DISKS:frozen');
    await it.db
      .updateTable('execution')
      .set({ finished_at: sql<Date>`finished_at - interval '31 s'` })
      .where('id', '=', executionId)
      .execute();
    await it.eventually('the machine is free', async () => (await statuses(pool)).join() === 'AVAILABLE');
    await removed(pool);
  });

  test('has a machine switched on again that was switched off while it idled', async () => {
    const pool = await it.pool(destination, 'destination', {
      minimum_minions: 2,
      maximum_minions: 2,
      minion_max_idle_time: 0,
      minion_retention_strategy: 'poweroff',
    });
    await it.untilPool(pool, 'ALLOCATED');
    await it.db.updateTable('minion_pool').set({ minimum_minions: 1 }).where('id', '=', pool).execute();
    const power = async () => (await it.machines(pool)).map((machine) => machine.power_status).sort();
    await it.eventually('one is off', async () => (await power()).join() === 'POWERED_OFF,POWERED_ON');
    const off = (await it.machines(pool)).find((machine) => machine.power_status === 'POWERED_OFF');
    expect(existsSync(machineFile('dst', off, 'on'))).toBe(false);
    const names = [instance(), instance()];
    const transfer = await transferThrough(pool, names);
    const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
    expect(await it.until(executionId)).toBe('COMPLETED');
    await expectEqualDisks(it, transfer.id, names);
    expect(made('dst').filter((line) => line.startsWith(`used ${off?.provider_properties?.id} `))).toHaveLength(1);
    await removed(pool);
  });

  test('that deploys has the machine of its OS morphing pool, and gives it back', async () => {
    const pool = await it.pool(destination, 'destination');
    await it.untilPool(pool, 'ALLOCATED');
    const name = instance();
    const transfer = await it.transfer(origin, destination, [name]);
    const run = await it.engine.executeTransfer({ transferId: transfer.id });
    expect(await it.until(run.executionId)).toBe('COMPLETED');
    const { executionId } = await it.engine.deploy({
      transferId: transfer.id,
      userId: 'tester',
      cloneDisks: true,
      osmorphingPoolMappings: { [name]: pool },
    });
    expect(await it.until(executionId)).toBe('COMPLETED');
    const types = (await it.tasks(executionId)).map((task) => `${task.task_type} ${task.status}`);
    expect(types).toContain('VALIDATE_OSMORPHING_MINION_POOL_COMPATIBILITY COMPLETED');
    expect(types).toContain('RELEASE_OSMORPHING_MINION COMPLETED');
    expect(await statuses(pool)).toEqual(['AVAILABLE']);
    await removed(pool);
  });

  test('loses its machine when the pool is deallocated by force, and fails', async () => {
    const pool = await it.pool(destination, 'destination');
    await it.untilPool(pool, 'ALLOCATED');
    const transfer = await transferThrough(pool, [instance()]);
    await worker.stopAt({ point: 'REPLICATE_DISKS:begin', action: 'pause' });
    const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
    await it.eventually('it holds a machine', () => worker.reached.length === 1);
    await it.engine.actOnPool(pool, 'deallocate', true);
    await it.untilPool(pool, 'DEALLOCATED');
    worker.goOn('REPLICATE_DISKS:begin');
    expect(await it.until(executionId)).toBe('ERROR');
    await nothingIsLeft();
  });
});

test('two dozen executions on five machines never share one, though workers are killed again and again', async () => {
  const pool = await it.pool(destination, 'destination', { minimum_minions: 2, maximum_minions: 5 });
  await it.untilPool(pool, 'ALLOCATED');
  const before = made('dst').length;
  const runs: { executionId: string; transfer: string; name: string }[] = [];
  for (let n = 0; n < 24; n += 1) {
    const name = instance();
    const transfer = await transferThrough(pool, [name]);
    const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
    runs.push({ executionId, name, transfer: transfer.id });
  }
  const completed = async (): Promise<number> => {
    const rows = await it.db
      .selectFrom('execution')
      .select('id')
      .where('status', '=', 'COMPLETED')
      .where(
        'id',
        'in',
        runs.map((run) => run.executionId),
      )
      .execute();
    return rows.length;
  };
  for (const enough of [3, 9, 15]) {
    await it.eventually(`${enough} are through`, async () => (await completed()) >= enough);
    await worker.kill();
    worker = it.worker({ host: 'phoenix' });
  }
  for (const { executionId } of runs) expect(await it.until(executionId)).toBe('COMPLETED');
  const lines = made('dst').slice(before);
  expect(lines.filter((line) => line.startsWith('shared'))).toEqual([]);
  expect(lines.filter((line) => line.startsWith('used')).length).toBeGreaterThanOrEqual(24);
  const machines = await it.machines(pool);
  expect(machines.length).toBeLessThanOrEqual(5);
  expect(machines.map((machine) => machine.execution_id)).toEqual(machines.map(() => null));
  expect(folders('dst').sort()).toEqual(machines.map((machine) => String(machine.provider_properties?.id)).sort());
  await removed(pool);
  await nothingIsLeft();
});
