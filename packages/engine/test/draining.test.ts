import { deleteRegion, ensureRegion, listServices, mapRegions, updateRegion, updateService } from '@godwit/store';
import { afterEach, expect, test } from 'vitest';
import { expectEqualDisks, MIB, sparseBytes } from './disk-files.ts';
import { TestInstallation } from './installation.ts';

// Workers that are to be emptied, and work that nobody may take.

const open: TestInstallation[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one[Symbol.asyncDispose]();
});

async function installation(): Promise<TestInstallation> {
  const it = await TestInstallation.start();
  open.push(it);
  return it;
}

const heartbeat = { everyMs: 200, limitMs: 60_000 };

async function enable(it: TestInstallation, host: string, enabled: boolean): Promise<void> {
  const service = (await listServices(it.db)).find((one) => one.host === host);
  await updateService(it.db, service?.id ?? '', { enabled });
}

test('a disabled worker ends its own copy, begins nothing new, and leaves its executions to the others', async () => {
  const it = await installation();
  const copied = 'REPLICATE_DISKS:copied';
  // Its copy lasts until the other one is there.
  const first = it.worker({ host: 'first', heartbeat, stops: [{ point: copied, action: 'pause' }] });
  it.instance('src', 'slow', { vda: sparseBytes(MIB) });
  it.instance('src', 'next', { vda: sparseBytes(MIB) });
  const [origin, destination] = [await it.endpoint('src'), await it.endpoint('dst')];
  const slow = await it.transfer(origin, destination, ['slow']);
  const { executionId } = await it.engine.executeTransfer({ transferId: slow.id });
  const copyOf = async (id: string) => (await it.tasks(id)).find((task) => task.task_type === 'REPLICATE_DISKS');
  await it.eventually('it copies', () => first.reached.includes(copied));
  await enable(it, 'first', false);
  await it.eventually('it has heard', () => /disabled: takes no new work/.test(first.log));
  it.worker({ host: 'second', heartbeat });
  const next = await it.transfer(origin, destination, ['next']);
  const after = await it.engine.executeTransfer({ transferId: next.id });
  expect(await it.until(after.executionId)).toBe('COMPLETED');
  first.goOn(copied);
  expect(await it.until(executionId)).toBe('COMPLETED');
  expect(new Set((await it.tasks(after.executionId)).map((task) => task.host))).toEqual(new Set(['second']));
  expect(await copyOf(executionId)).toMatchObject({ host: 'first', attempt: 1 });
  const cleanup = (await it.tasks(executionId)).filter((task) => task.task_type.startsWith('DELETE_'));
  expect(cleanup.map((task) => task.host)).toEqual(['second', 'second']);
  await expectEqualDisks(it, slow.id, ['slow']);
});

test('work that no worker may take says why it waits, once, and goes on when one may', async () => {
  const it = await installation();
  const worker = it.worker({ host: 'only', heartbeat });
  await worker.ready;
  await enable(it, 'only', false);
  await it.eventually('it has heard', () => /disabled: takes no new work/.test(worker.log));
  it.instance('src', 'idle', { vda: sparseBytes(MIB) });
  const transfer = await it.transfer(await it.endpoint('src'), await it.endpoint('dst'), ['idle']);
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
  const reasons = async () => {
    const ids = (await it.tasks(executionId)).map((task) => task.id);
    return it.db.selectFrom('task_event').select('message').where('task_id', 'in', ids).execute();
  };
  await it.eventually('the reason is told', async () => (await reasons()).length > 0);
  expect((await reasons()).map((row) => row.message)).toEqual([expect.stringContaining('No running worker')]);
  expect((await it.tasks(executionId)).every((task) => task.attempt === 0)).toBe(true);
  await enable(it, 'only', true);
  expect(await it.until(executionId)).toBe('COMPLETED');
  expect(await reasons()).toHaveLength(1);
});

test('a worker serves a region that it is given while it runs, and work goes to a region that is served', async () => {
  const it = await installation();
  const empty = await ensureRegion(it.db, 'empty');
  const cellar = await ensureRegion(it.db, 'cellar');
  const worker = it.worker({ host: 'wanderer', heartbeat });
  await worker.ready;
  it.instance('deep', 'vault', { vda: sparseBytes(MIB) });
  const origin = await it.endpoint('deep', [empty.id, cellar.id]);
  const transfer = await it.transfer(origin, await it.endpoint('dst'), ['vault']);
  const service = (await listServices(it.db)).find((one) => one.host === 'wanderer');
  await mapRegions(it.db, 'service', service?.id ?? '', [cellar.id]);
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
  expect(await it.until(executionId)).toBe('COMPLETED');
});

test.each(['mapped elsewhere', 'deleted'])(
  'work waits for a disabled region, and goes on when it is %s',
  async (how) => {
    const it = await installation();
    const wrong = await ensureRegion(it.db, 'wrong');
    await updateRegion(it.db, wrong.id, { enabled: false });
    await it.worker({ host: 'inside', heartbeat, regions: ['right'] }).ready;
    it.instance('src', 'lost', { vda: sparseBytes(MIB) });
    const origin = await it.endpoint('src', [wrong.id]);
    const destination = await it.endpoint('dst', [wrong.id]);
    const transfer = await it.transfer(origin, destination, ['lost']);
    const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
    const reasons = async () => {
      const ids = (await it.tasks(executionId)).map((task) => task.id);
      const said = await it.db.selectFrom('task_event').select('message').where('task_id', 'in', ids).execute();
      return said.map((event) => event.message);
    };
    await it.eventually('the reason is told', async () => (await reasons()).length > 0);
    expect((await reasons())[0]).toContain('serve region wrong, which is disabled.');
    if (how === 'deleted') await deleteRegion(it.db, wrong.id);
    else {
      await mapRegions(it.db, 'endpoint', origin, [(await ensureRegion(it.db, 'right')).id]);
      await mapRegions(it.db, 'endpoint', destination, []);
    }
    expect(await it.until(executionId)).toBe('COMPLETED');
  },
);
