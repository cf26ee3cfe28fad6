import { afterAll, beforeAll, expect, test } from 'vitest';
import { isLighterElsewhere } from '../src/balance.ts';
import { MIB, sparseBytes } from './disk-files.ts';
import { TestInstallation } from './installation.ts';

let it: TestInstallation;
beforeAll(async () => {
  it = await TestInstallation.start();
});
afterAll(async () => {
  await it[Symbol.asyncDispose]();
});

test('work is left to another only where that evens things out, and there is room', () => {
  const other = (tasks: number, most = 4) => [{ executor: 'other', tasks, most }];
  expect(isLighterElsewhere(3, other(0))).toBe(true);
  expect(isLighterElsewhere(2, other(0))).toBe(true);
  expect(isLighterElsewhere(1, other(0))).toBe(false);
  expect(isLighterElsewhere(3, other(2))).toBe(false);
  expect(isLighterElsewhere(4, other(1, 1))).toBe(false);
  expect(isLighterElsewhere(4, [])).toBe(false);
});

test('copies that begin together are spread over the workers', async () => {
  const hosts = ['one', 'two', 'three'];
  for (const host of hosts) await it.worker({ host }).ready;
  const origin = await it.endpoint('src');
  const destination = await it.endpoint('dst');
  const options = JSON.stringify({ rate_limit: 100_000 });
  const executions: string[] = [];
  for (let n = 0; n < 3; n += 1) {
    it.instance('src', `vm${n}`, { vda: sparseBytes(64 * MIB) });
    const transfer = await it.transfer(origin, destination, [`vm${n}`], { options });
    executions.push((await it.engine.executeTransfer({ transferId: transfer.id })).executionId);
  }
  const copies = async () => {
    const tasks = await Promise.all(executions.map((id) => it.tasks(id)));
    return tasks.flat().filter((task) => task.task_type === 'REPLICATE_DISKS' && task.status === 'RUNNING');
  };
  await it.eventually('all copy', async () => (await copies()).length === 3);
  expect((await copies()).map((task) => task.host).sort()).toEqual([...hosts].sort());
  for (const id of executions) await it.engine.cancelExecution(id, true);
});
