import { insertExecution, insertTasks } from '@godwit/store';
import { expect, test } from 'vitest';
import { knownOf, wakeOverlooked } from '../src/overlooked.ts';
import { Runs } from '../src/runs.ts';
import { taskStates } from '../src/task-board.ts';
import { TestInstallation } from './installation.ts';

test('a walk is woken when its execution is not what it knows, and only then', async () => {
  await using it = await TestInstallation.start();
  const { db } = it;
  const transfer = await it.transfer(await it.endpoint('src'), await it.endpoint('dst'), ['vm']);
  const execution = await insertExecution(db, {
    actionId: transfer.id,
    actionType: 'transfer',
    type: 'transfer_execution',
  });
  await insertTasks(db, execution.id, [{ instance: 'vm', taskType: 'REPLICATE_DISKS', index: 1 }]);
  const states = () => db.transaction().execute((trx) => taskStates(trx, execution.id));
  const runs = new Runs(new AbortController().signal);
  const inbox = runs.inbox(execution.id);
  const look = () => wakeOverlooked({ db, runs });
  const change = async (table: 'execution' | 'task', set: object) => {
    await db.updateTable(table).set(set).execute();
  };

  // In its first step it knows nothing yet.
  expect(await look()).toBe(0);
  inbox.known = knownOf(execution, 0, await states());
  expect(await look()).toBe(0);
  await change('task', { status: 'COMPLETED' });
  expect(await look()).toBe(1);
  inbox.known = knownOf(execution, 0, await states());
  expect(await look()).toBe(0);
  for (const set of [{ cancel_requested: 'cooperative' }, { walk_no: 1 }, { status: 'CANCELED' }]) {
    await change('execution', set);
    expect(await look()).toBe(1);
    const now = await db.selectFrom('execution').selectAll().executeTakeFirstOrThrow();
    inbox.known = knownOf(now, now.walk_no, await states());
    expect(await look()).toBe(0);
  }
  inbox.close();
  expect(await look()).toBe(0);
});
