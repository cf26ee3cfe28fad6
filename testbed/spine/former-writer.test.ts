import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connect } from '@godwit/store';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Installation } from './installation.ts';
import { RegionWorker } from './region-worker.ts';

const MiB = 1_048_576;
const SIZE = 16 * MiB;
/** Slow enough to be met in mid-copy on any machine. */
const RATE = MiB / 2;
/** A worker that stood still so long ends when it wakes. */
const COUNTS_ITSELF_OUT_MS = 20_000;
/** Ends what hangs: whole installations take their time where many of them start. */
const HANGS_MS = 300_000;
const REGION = 'yard';
/** As a container: what happens in it cannot be looked at from outside. Others than root make none. */
const contained = process.getuid?.() === 0;

/** One transfer of one disk: how its replica is kept, and what others do about its run while the worker stands still. */
const cases = [
  { name: 'raw-taken', format: 'raw', canceled: false },
  { name: 'raw-anew', format: 'raw', canceled: true },
  { name: 'qcow2-taken', format: 'qcow2', canceled: false },
  { name: 'qcow2-anew', format: 'qcow2', canceled: true },
];

describe('a worker that stands still in mid-copy', () => {
  let folder: string;
  let godwit: Installation;
  let zombie: RegionWorker;
  let heir: RegionWorker | undefined;
  const transfers = new Map<string, string>();
  /** Of each transfer, the route of the execution that is to be completed. */
  const runs = new Map<string, string>();

  const sourceOf = (name: string): string => path.join(folder, 'from', name, 'disk.raw');

  /** The file of the replica disk; null: not there yet. */
  function replicaOf({ name, format }: (typeof cases)[number]): string | null {
    const found = readdirSync(path.join(folder, 'to'), { recursive: true, encoding: 'utf8' }).filter(
      (file) => file.includes(`/replicas/${name}-`) && file.endsWith(`.${format}`),
    );
    if (found.length > 1) throw new Error(`more than one replica of ${name}: ${found.join(', ')}`);
    return found[0] === undefined ? null : path.join(folder, 'to', found[0]);
  }

  function writeSource(name: string): void {
    const file = openSync(sourceOf(name), 'w');
    writeFileSync(file, randomBytes(SIZE));
    fsyncSync(file);
    closeSync(file);
  }

  /** What differs between the sources and their replicas, by a program that is not ours. */
  const differences = (): string[] =>
    cases.flatMap((one) => {
      const args = ['compare', '-f', 'raw', '-F', one.format, sourceOf(one.name), replicaOf(one) ?? ''];
      const compared = spawnSync('qemu-img', args, { encoding: 'utf8' });
      return compared.status === 0 ? [] : [`${one.name}: ${compared.stdout}${compared.stderr}`];
    });

  const ofEach = (act: (name: string, transfer: string) => Promise<unknown>) =>
    Promise.all([...transfers].map(([name, transfer]) => act(name, transfer)));

  const completed = () =>
    ofEach(async (name) => {
      const { status, tasks } = await godwit.ended(runs.get(name) ?? '');
      expect(status, `${name}: ${JSON.stringify(tasks)}`).toBe('COMPLETED');
    });

  beforeAll(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'gw-former-'));
    for (const { name } of cases) {
      mkdirSync(path.join(folder, 'from', name), { recursive: true });
      writeSource(name);
    }
    mkdirSync(path.join(folder, 'to'));
    godwit = await Installation.start();
    zombie = new RegionWorker(godwit, REGION, contained);
    await godwit.until('the worker works', async () => zombie.works, HANGS_MS);
    const regions = await godwit.get<{ id: string; name: string }[]>('GET', '/regions', 'regions');
    const mapped_regions = regions.filter((region) => region.name === REGION).map((region) => region.id);
    const endpoint = async (name: string): Promise<string> => {
      const connection_info = { path: path.join(folder, name) };
      const body = { endpoint: { name, type: 'image', connection_info, mapped_regions } };
      return (await godwit.get<{ id: string }>('POST', '/endpoints', 'endpoint', body)).id;
    };
    const [from, to] = [await endpoint('from'), await endpoint('to')];
    for (const { name, format } of cases) {
      const more = { destination_environment: { disk_format: format }, options: { rate_limit: RATE } };
      transfers.set(name, await godwit.transfer(from, to, [name], more));
    }
  }, 600_000);

  afterAll(async () => {
    await Promise.all([zombie?.kill(), heir?.kill()]);
    await godwit?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('keeps its disks until it wakes and ends, and changes nothing that is proven after that', async () => {
    await ofEach(async (name, transfer) => runs.set(name, await godwit.execute(transfer)));
    const copied = (one: (typeof cases)[number]) => statSync(replicaOf(one) ?? '').blocks * 512;
    await godwit.until('all are in mid-copy', async () => cases.every((one) => copied(one) > MiB / 2), HANGS_MS);
    zombie.signal('SIGSTOP');
    const stopped = performance.now();

    // Half of the runs are taken over; half are ended by force, and begin anew with a source that has changed.
    for (const { name, canceled } of cases) {
      const transfer = transfers.get(name) ?? '';
      await godwit.get('PUT', `/transfers/${transfer}/limits`, 'limits', { limits: { rate_limit: null } });
      if (!canceled) continue;
      await godwit.get('POST', `${runs.get(name)}/actions`, '', { cancel: { force: true } });
      writeSource(name);
      runs.set(name, await godwit.execute(transfer));
    }
    const store = connect(godwit.databaseUrl(), { max: 1 });
    // As after 30 s of silence; and as if it could tell nobody, by its lease, that it lives.
    await sql`update service set heartbeat_at = clock_timestamp() - interval '31 s'`.execute(store.db);
    await store.close();
    for (const one of cases) spawnSync('touch', ['-c', '-d', '@1', `${replicaOf(one)}.lease`]);
    heir = new RegionWorker(godwit, REGION, false);

    await ofEach(async (name) => {
      const told = async () => (await godwit.request('GET', runs.get(name) ?? '')).body;
      const busy = async () => JSON.stringify(await told()).includes('DISK_BUSY');
      await godwit.until(`the successor waits for ${name}`, busy, HANGS_MS).catch(async (error: unknown) => {
        throw new Error(`${String(error)}: ${JSON.stringify(await told())}\n${heir?.log}`);
      });
    });
    const over = async () => performance.now() - stopped > COUNTS_ITSELF_OUT_MS + 1_000;
    await godwit.until('it stood still beyond its limit', over, HANGS_MS);
    zombie.signal('SIGCONT');
    expect(await zombie.exited, zombie.log).toBe(75);
    await completed();
    expect(differences()).toEqual([]);
  }, 600_000);

  it('leaves disks behind that the next run brings up to date, as their receipts prove', async () => {
    for (const { name } of cases) writeSource(name);
    await ofEach(async (name, transfer) => runs.set(name, await godwit.execute(transfer)));
    await completed();
    expect(differences()).toEqual([]);
    const verify = path.join(import.meta.dirname, '../../packages/verify/src/main.ts');
    for (const one of cases) {
      const execution = path.basename(runs.get(one.name) ?? '');
      const receipts = await godwit.get<{ id: string }[]>('GET', `/receipts?execution_id=${execution}`, 'receipts');
      expect(receipts).toHaveLength(1);
      const receipt = path.join(folder, `${one.name}.receipt`);
      writeFileSync(receipt, (await godwit.read(`/receipts/${receipts[0]?.id}`)).text);
      const said = spawnSync(process.execPath, [verify, receipt, '--disk', replicaOf(one) ?? ''], { encoding: 'utf8' });
      expect(said.status, `${said.stdout}${said.stderr}`).toBe(0);
    }
  }, 600_000);
});
