import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { sparseBytes } from './disk-files.ts';
import { TestInstallation } from './installation.ts';

/** Starts executions of one source, one after the other. */
async function start(it: TestInstallation, source: string, many: number): Promise<string[]> {
  const [origin, destination] = [await it.endpoint(source), await it.endpoint('dst')];
  const ids: string[] = [];
  for (let n = 0; n < many; n += 1) {
    it.instance(source, `${source}${n}`, { vda: sparseBytes(65_536) });
    const transfer = await it.transfer(origin, destination, [`${source}${n}`]);
    ids.push((await it.engine.executeTransfer({ transferId: transfer.id })).executionId);
  }
  return ids;
}

test('a source that comes late with little is not behind all of one that came with much', async () => {
  await using it = await TestInstallation.start();
  const big = await start(it, 'big', 6);
  const small = await start(it, 'small', 2);
  const { rows } = await sql<{ id: string }>`select workflow_uuid as id from dbos.workflow_status
    where queue_name = 'control' and status = 'ENQUEUED' order by priority, created_at`.execute(it.db);
  const order = rows.map(({ id }) => id.replace('execution:', ''));
  expect(order).toEqual([big[0], small[0], big[1], small[1], ...big.slice(2)]);
  const worker = it.worker();
  await worker.ready;
  for (const id of [...big, ...small]) expect(await it.until(id)).toBe('COMPLETED');
});
