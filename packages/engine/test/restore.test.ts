import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import {
  addTaskEvent,
  backupDatabase,
  brokenAudit,
  connect,
  deleteTransfer,
  getExecution,
  migrate,
  RESTORER,
  type RestoreOptions,
  restoreDatabase,
} from '@godwit/store';
import { createTestDatabase } from '@godwit/store/testing';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { migrateEngine } from '../src/schema.ts';
import { expectEqualDisks, sparseBytes } from './disk-files.ts';
import { TestInstallation } from './installation.ts';

const DISK = 2_097_152;

async function restored(url: string, file: string, options: Partial<RestoreOptions> = {}) {
  const connection = connect(url, { applicationName: RESTORER });
  try {
    return await restoreDatabase(connection, file, {
      requireKeys: () => undefined,
      also: () => migrateEngine(connection),
      ...options,
    });
  } finally {
    await connection.close();
  }
}

/** Runs one execution whole, and stops a second transfer's in the middle of its copy. */
async function halfWay(it: TestInstallation) {
  it.instance('src', 'done', { vda: sparseBytes(DISK) });
  it.instance('src', 'torn', { vda: sparseBytes(DISK) });
  const origin = await it.endpoint('src');
  const destination = await it.endpoint('dst');
  const done = await it.transfer(origin, destination, ['done']);
  const torn = await it.transfer(origin, destination, ['torn']);
  const worker = it.worker();
  const { executionId: complete } = await it.engine.executeTransfer({ transferId: done.id });
  expect(await it.until(complete)).toBe('COMPLETED');
  await worker.stopAt({ point: 'REPLICATE_DISKS:begin', action: 'pause' });
  const { executionId: running } = await it.engine.executeTransfer({ transferId: torn.id });
  await it.eventually('it copies', () => worker.reached.length > 0);
  return { complete, done, running, torn, worker };
}

test('a database that was destroyed comes back from its backup; nothing on a platform is touched on its word', {
  timeout: 300_000,
}, async () => {
  await using it = await TestInstallation.start();
  const { complete, done, running, torn, worker } = await halfWay(it);
  const file = path.join(it.home, 'backup');
  const backup = await backupDatabase(it.database, file, { godwit: 'test' });
  expect(backup.key_ids).toEqual([it.secrets.keyId]);
  // After it: what the backup does not know.
  await addTaskEvent(it.db, (await it.tasks(complete))[0]!.id, 'INFO', 'later');
  const madeBefore = readFileSync(path.join(it.home, 'dst.made'), 'utf8');
  await worker.kill();

  await using second = await createTestDatabase({ migrated: false });
  const { aftermath, rows } = await restored(second.url, file);
  expect(rows).toBe(backup.rows);
  expect(aftermath?.executions).toEqual([{ id: running, action: torn.id }]);
  expect(aftermath?.disks.map((disk) => disk.instance).sort()).toEqual(['done', 'torn']);
  expect(aftermath?.endpoints.map((endpoint) => endpoint.name)).toEqual(['dst', 'src']);

  await using again = await TestInstallation.on(it.home, second.url);
  expect((await getExecution(again.db, complete))?.status).toBe('COMPLETED');
  expect((await getExecution(again.db, running))?.status).toBe('ERROR');
  expect((await again.tasks(running)).map((task) => task.error?.code ?? null)).toContain('DATABASE_RESTORED');
  const { rows: events } = await sql`select from task_event where message = 'later'`.execute(again.db);
  expect(events).toEqual([]);
  expect(await brokenAudit(again.db)).toBeUndefined();
  // The reaper has nothing to do with what was there, even of a transfer that goes.
  const kept = await again.ledger();
  expect(kept.length).toBeGreaterThan(0);
  expect(kept.every((entry) => entry.startsWith('forever '))).toBe(true);

  again.worker({ host: 'b' });
  const next = await again.engine.executeTransfer({ transferId: done.id });
  expect(await again.until(next.executionId)).toBe('COMPLETED');
  await expectEqualDisks(again, done.id, ['done']);
  const last = await again.engine.executeTransfer({ transferId: torn.id });
  expect(await again.until(last.executionId)).toBe('COMPLETED');
  await expectEqualDisks(again, torn.id, ['torn']);
  expect(readFileSync(path.join(it.home, 'dst.made'), 'utf8').startsWith(madeBefore)).toBe(true);
});

test('a backup taken as it is keeps disks and ledger, and ends what was under way', { timeout: 300_000 }, async () => {
  await using it = await TestInstallation.start();
  const { running, torn, worker } = await halfWay(it);
  await worker.kill();
  const file = path.join(it.home, 'backup');
  await backupDatabase(it.database, file, { godwit: 'test' });
  const ledger = await it.ledger();
  await using second = await createTestDatabase({ migrated: false });
  const { aftermath } = await restored(second.url, file, { asIs: true });
  expect(aftermath).toMatchObject({ disks: [], kept: [], endpoints: [] });
  await using again = await TestInstallation.on(it.home, second.url);
  expect(await again.ledger()).toEqual(ledger);
  expect((await getExecution(again.db, running))?.status).toBe('ERROR');
  const disks = await again.db.selectFrom('replica_disk').select('fence').execute();
  expect(disks.every((disk) => disk.fence >= 1_000_000)).toBe(true);
  again.worker({ host: 'b' });
  const next = await again.engine.executeTransfer({ transferId: torn.id });
  expect(await again.until(next.executionId)).toBe('COMPLETED');
  await expectEqualDisks(again, torn.id, ['torn']);
});

test('a restore is refused into a database in use or not empty, from a damaged file, and is whole or marked', {
  timeout: 300_000,
}, async () => {
  await using it = await TestInstallation.start();
  const endpoint = await it.endpoint('src');
  const transfer = await it.transfer(endpoint, endpoint, ['vm']);
  const file = path.join(it.home, 'backup');
  await backupDatabase(it.database, file, { godwit: 'test' });
  await expect(backupDatabase(it.database, file, { godwit: 'test' })).rejects.toMatchObject({ code: 'CONFLICT' });
  await deleteTransfer(it.db, transfer.id);

  const bytes = readFileSync(file);
  for (const [name, damaged] of Object.entries({
    short: bytes.subarray(0, bytes.length - 20),
    flipped: Buffer.concat([bytes.subarray(0, -40), Buffer.from([bytes.at(-40)! ^ 1]), bytes.subarray(-39)]),
    other: Buffer.from('{"type":"something else"}\n'),
  })) {
    writeFileSync(path.join(it.home, name), damaged);
    const options = { force: true };
    await expect(restored(it.database.url, path.join(it.home, name), options)).rejects.toMatchObject({
      code: 'BACKUP_FILE',
    });
  }
  // The engine client of this test is connected.
  await expect(restored(it.database.url, file, { force: true })).rejects.toMatchObject({ code: 'DATABASE_IN_USE' });

  await using second = await createTestDatabase();
  await expect(restored(second.url, file)).rejects.toMatchObject({ code: 'DATABASE_NOT_EMPTY' });
  expect((await restored(second.url, file, { force: true, dryRun: true })).aftermath).toBeUndefined();
  const also = () => Promise.reject(new Error('the power went'));
  await expect(restored(second.url, file, { force: true, also })).rejects.toThrow('the power went');
  await expect(migrate(second)).rejects.toMatchObject({ code: 'DATABASE_HALF_RESTORED' });
  await restored(second.url, file, { force: true });
  const { rows } = await sql<{ alive: boolean }>`select deleted_at is null as alive from transfer`.execute(second.db);
  expect(rows).toEqual([{ alive: true }]);
});
