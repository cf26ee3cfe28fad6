import { toldTasks } from '@godwit/store';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { TestInstallation } from '../../engine/test/installation.ts';
import { watchWaiting } from '../src/waiting-watch.ts';

test('an API says of queued work why it waits, once, where no worker is up', async () => {
  await using it = await TestInstallation.start();
  const transfer = await it.transfer(await it.endpoint('src'), await it.endpoint('dst'), ['idle']);
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
  const said = async (): Promise<string[]> => {
    const tasks = (await toldTasks(it.db, [executionId])).get(executionId) ?? [];
    return tasks.flatMap((task) => task.events).map((event) => event.message);
  };
  let told = 0;
  let looks = 0;
  const engine = {
    explainWaiting: async () => {
      const now = await it.engine.explainWaiting();
      looks += 1;
      told += now;
      return now;
    },
  };
  const unwatch = watchWaiting({ db: it.db, engine, log: pino({ level: 'silent' }), lookMs: 20 });
  try {
    await it.eventually('it has looked again', () => told > 0 && looks > 2);
    expect(told).toBe(1);
    expect(await said()).toEqual([expect.stringContaining('No running worker can serve this work.')]);
  } finally {
    unwatch();
  }
});
