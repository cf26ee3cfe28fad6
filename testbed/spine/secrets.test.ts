import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { connect } from '@godwit/store';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Execution, Installation } from './installation.ts';
import { fill, seeded } from './random.ts';

const MiB = 1_048_576;

/** Secrets that nobody else has, not even this test when it runs a second time beside itself; each in a field of its own. */
const canaries = {
  password: `canary-pw-${randomBytes(9).toString('hex')}`,
  key: `canary-key-${randomBytes(9).toString('hex')}`,
};
/** What a secret would look like to the lookout: two that are shown on purpose, so that it is seen to look. */
const decoys = {
  argv: `decoy-${randomBytes(9).toString('hex')}`,
  environment: `decoy-${randomBytes(9).toString('hex')}`,
};
const privateKey = `-----BEGIN OPENSSH PRIVATE KEY-----\n${canaries.key}\n-----END OPENSSH PRIVATE KEY-----\n`;

/** How a secret may be written: in clear, as hex (bytes in a dump), as base64 at each of its three phases. */
function spellings(secret: string): string[] {
  const bytes = Buffer.from(secret);
  const phases = [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), bytes]).toString('base64');
    // Without the characters that its neighbours decide.
    return text.slice(shift === 0 ? 0 : 4, -4);
  });
  return [secret, bytes.toString('hex'), ...phases];
}

const ofEndpoints = Object.values(canaries).flatMap(spellings);
const needles = [...ofEndpoints];
const holds = (text: string): boolean => needles.some((needle) => text.includes(needle));

/** Looks at command lines and environments of all processes, all the time. */
class Lookout {
  readonly found = new Set<string>();
  readonly decoys = new Set<string>();
  readonly programs = new Set<string>();
  looks = 0;
  #timer: NodeJS.Timeout | undefined;

  start(): void {
    const look = () => {
      this.#look();
      this.#timer = setTimeout(look, 5);
    };
    look();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #look(): void {
    this.looks += 1;
    for (const pid of readdirSync('/proc')) {
      if (!/^\d+$/.test(pid)) continue;
      for (const name of ['cmdline', 'environ']) {
        let text: string;
        try {
          text = readFileSync(`/proc/${pid}/${name}`, 'latin1');
        } catch {
          continue; // ended, or another user's
        }
        for (const decoy of Object.values(decoys)) if (text.includes(decoy)) this.decoys.add(`${name} ${decoy}`);
        if (name === 'cmdline') this.programs.add(path.basename(text.split('\0')[0] ?? ''));
        if (holds(text)) this.found.add(`${name} of ${text.split('\0')[0]}`);
      }
    }
  }
}

let godwit: Installation;
let folder: string;
/** Own secrets of the installation, and the files below its home that are there to hold them. */
let own: { secret: string; files: string[] }[] = [];
const lookout = new Lookout();

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'gw-secrets-'));
  lookout.start();
  godwit = await Installation.start({ GODWIT_LOG: 'trace' });
  // Its own secrets lie in files made for that; nowhere else.
  const admin = /OS_PASSWORD=['"]?([^'"\n]+)/.exec(readFileSync(path.join(godwit.home, 'openrc'), 'utf8'))?.[1] ?? '';
  const database = new URL(godwit.databaseUrl()).password;
  own = [
    { secret: admin, files: ['openrc', 'clouds.yaml'] },
    { secret: decodeURIComponent(database), files: ['postgres/password'] },
  ];
  for (const { secret } of own) {
    expect(secret.length).toBeGreaterThan(8);
    needles.push(...spellings(secret));
  }
});
afterAll(async () => {
  lookout.stop();
  await godwit.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Files below the folders that hold one of these texts. The texts go by a pipe: a command line is what others can read. */
function filesWith(texts: string[], ...folders: string[]): string[] {
  const grep = spawnSync('grep', ['-rlaF', '-f', '-', ...folders], { encoding: 'utf8', input: texts.join('\n') });
  expect(grep.stderr).toBe('');
  return grep.stdout.split('\n').filter((file) => file !== '');
}

/** Executes a transfer whose platform does not answer until that is said, then cancels it. */
async function inTrouble(transfer: string): Promise<Execution> {
  const route = await godwit.execute(transfer);
  await godwit.until('it is in trouble', async () => (await godwit.read(route)).text.includes('Trying again'), 60_000);
  await godwit.request('POST', `${route}/actions`, { cancel: { force: false } });
  const execution = await godwit.ended(route);
  expect(execution.status).toBe('CANCELED');
  return execution;
}

it('shows the secrets of endpoints nowhere: not while they are used, not in what is kept, not in what it answers', async () => {
  // Endpoints with secrets, used in every way; nobody answers there, so errors tell all they have.
  const guarded = [
    await godwit.endpoint('sasl', 'libvirt', {
      uri: 'qemu+tcp://127.0.0.1:1/system',
      username: 'operator',
      password: canaries.password,
    }),
    await godwit.endpoint('ssh', 'libvirt', {
      uri: 'qemu+ssh://root@127.0.0.1:1/system',
      ssh_private_key: privateKey,
      password: canaries.password,
    }),
  ];
  const vm = path.join(folder, 'source', 'web01');
  const target = path.join(folder, 'target');
  mkdirSync(vm, { recursive: true });
  mkdirSync(target);
  writeFileSync(path.join(vm, 'a.raw'), fill(seeded(3), Buffer.alloc(2 * MiB)));
  const old = await godwit.endpoint('old', 'image', { path: path.join(folder, 'source') });
  const fresh = await godwit.endpoint('fresh', 'image', { path: target });

  const answers: string[] = [];
  const ask = async (method: string, route: string, body?: unknown): Promise<Record<string, unknown>> => {
    const answer = await godwit.request(method, route, body);
    answers.push(`${method} ${route}: ${JSON.stringify(answer)}`);
    return answer.body;
  };
  const ids: Record<string, string> = {};
  for (const endpoint of guarded) {
    await ask('POST', `/endpoints/${endpoint}/actions`, { 'validate-connection': null });
    for (const what of ['instances', 'networks', 'storage'])
      answers.push((await godwit.read(`/endpoints/${endpoint}/${what}`)).text);
    await ask('PUT', `/endpoints/${endpoint}`, {
      endpoint: { name: 'renamed', connection_info: { uri: 7, password: canaries.password } },
    });
  }
  // A request that is refused carries the secret too.
  await ask('POST', '/endpoints', {
    endpoint: {
      name: 'wrong',
      type: 'libvirt',
      description: '',
      connection_info: { uri: 'x', pasword: canaries.password },
    },
  });
  await ask('POST', '/endpoints', {
    endpoint: { name: 'wrong', type: 'nonesuch', description: '', connection_info: { password: canaries.password } },
  });

  const failing = await godwit.transfer(guarded[0] ?? '', fresh, ['web01']);
  const failed = await inTrouble(failing);
  const transfer = await godwit.transfer(old, fresh, ['web01']);
  const run = await godwit.ended(await godwit.execute(transfer));
  expect(run.status).toBe('COMPLETED');
  const outward = await godwit.transfer(old, guarded[1] ?? '', ['web01']);
  await inTrouble(outward);

  // Everything that can be read by GET, with whatever ids are known.
  ids.endpoint_id = guarded[0] ?? '';
  ids.transfer_id = failing;
  ids.execution_id = failed.id;
  ids.receipt_id = (await godwit.get<{ id: string }[]>('GET', '/receipts', 'receipts'))[0]?.id ?? '';
  ids.instance = Buffer.from('web01').toString('base64url');
  ids.platform = 'libvirt';
  ids.type = '16';
  const description = (await (await fetch(`${godwit.url}/openapi.json`)).json()) as {
    paths: Record<string, Record<string, unknown>>;
  };
  const routes = Object.entries(description.paths)
    // A stream without end is left out: the table it comes from is read below.
    .filter(([, { get }]) => get !== undefined && !JSON.stringify(get).includes('text/event-stream'))
    .map(([route]) => route);
  expect(routes.length).toBeGreaterThan(20);
  const told: string[] = [];
  for (const route of routes) {
    const place = route.replace(/\{(\w+)\}/g, (_, name: string) => ids[name] ?? failing);
    const { status, text } = await godwit.read(place);
    if (status === 200) told.push(route);
    answers.push(`GET ${place}: ${status} ${text}`);
  }
  for (const route of [
    '/endpoints/{endpoint_id}',
    '/transfers/{transfer_id}',
    '/receipts/{receipt_id}',
    '/ledger',
    '/metrics',
  ]) {
    expect(told).toContain(route);
  }
  expect(answers.filter(holds)).toEqual([]);

  // Whatever shows a secret as these two do would have been seen.
  const shown = spawn('sleep', ['60'], { argv0: decoys.argv, env: { DECOY: decoys.environment }, stdio: 'ignore' });
  await godwit.until('the lookout sees the decoys', async () => lookout.decoys.size === 2, 30_000);
  shown.kill('SIGKILL');
  expect([...lookout.decoys].sort()).toEqual([`cmdline ${decoys.argv}`, `environ ${decoys.environment}`]);
  expect(lookout.programs).toContain('virsh');
  expect([...lookout.found]).toEqual([]);
  expect(holds(godwit.log)).toBe(false);

  const database = connect(godwit.databaseUrl());
  const { rows: tables } = await sql<{ name: string }>`
    select quote_ident(table_schema) || '.' || quote_ident(table_name) as name from information_schema.tables
    where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')`.execute(database.db);
  expect(tables.length).toBeGreaterThan(25);
  const telling: string[] = [];
  let readable = 0;
  for (const { name } of tables) {
    const { rows } = await sql<{ line: string }>`select t::text as line from ${sql.raw(name)} t`.execute(database.db);
    if (rows.some(({ line }) => holds(line))) telling.push(name);
    if (rows.some(({ line }) => line.includes('qemu+ssh://root@127.0.0.1:1/system'))) readable += 1;
  }
  await database.close();
  expect(telling).toEqual([]);
  expect(readable).toBeGreaterThan(0);

  // A backup, unpacked: as it lies there nothing could be found in it.
  const backup = path.join(folder, 'backup');
  const program = path.join(import.meta.dirname, '../../packages/server/src/main.ts');
  const env = { ...process.env, GODWIT_HOME: godwit.home, DATABASE_URL: '' };
  const taken = spawnSync(process.execPath, [program, 'db', 'backup', backup, '--with-keys'], {
    encoding: 'utf8',
    env,
  });
  expect(taken.status, taken.stderr).toBe(0);
  expect(holds(taken.stderr)).toBe(false);
  const packed = readFileSync(backup);
  const unpacked = zstdDecompressSync(packed.subarray(packed.indexOf('\n') + 1)).toString('latin1');
  expect(unpacked).toContain('qemu+ssh://root@127.0.0.1:1/system');
  expect(holds(unpacked)).toBe(false);

  // Files: the home with keys, logs, work folders and the database's own; and what lies at the target.
  expect(filesWith(ofEndpoints, godwit.home, target)).toEqual([]);
  for (const { secret, files } of own) {
    const holders = filesWith(spellings(secret), godwit.home, target).map((file) => path.relative(godwit.home, file));
    expect(holders.sort()).toEqual(files.sort());
  }
}, 300_000);
