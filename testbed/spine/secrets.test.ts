// Over 400 lines: one run of everything, and every place that it may leave something in.
import { spawn, spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { zstdDecompressSync } from 'node:zlib';
import { type Connection, connect } from '@godwit/store';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runGodwit } from '../../packages/cli/src/app.ts';
import type { CliContext } from '../../packages/cli/src/context.ts';
import { OUTPUT_FORMATS } from '../../packages/cli/src/output.ts';
import { signIn, signInAtIdentity, signInAtLogs } from '../../packages/cli/src/session.ts';
import { Installation } from './installation.ts';
import { ProcessLookout } from './process-lookout.ts';
import { fill, seeded } from './random.ts';
import { canary, encodings, known, SecretSearch } from './secret-search.ts';

const MiB = 1_048_576;
const repository = path.join(import.meta.dirname, '../..');

/** One for each field that holds a secret, with signs that quoting and encoding change. */
const canaries = {
  'password of libvirt': canary('pw "*"\\&<é%+/'),
  'key of libvirt': canary('-----BEGIN OPENSSH PRIVATE KEY-----\n*\n-----END OPENSSH PRIVATE KEY-----\n'),
  'password of openstack': canary("it's *=é+/"),
  'secret of an application credential': canary('*?a=b&c'),
  'password in clouds.yaml': canary('*-yaml'),
  'secret of a webhook': canary('webhook */32'),
};
/** What is shown on purpose: each place that is searched holds one of them, so that it is seen to be searched. */
const decoys = {
  argv: canary('decoy-*'),
  environment: canary('decoy-*'),
  instance: canary('web-*'),
  path: canary('no-transfer-*'),
  log: canary('decoy-*'),
  ...Object.fromEntries(Object.keys(encodings).map((name) => [`as ${name}`, canary('decoy "*"\\&<é%+/')])),
};
const encoded = Object.keys(encodings)
  .map((name) => `as ${name}`)
  .sort();

/** What must not be found; the installation's own secrets come in once it has them. */
const secrets = new SecretSearch(canaries);
const shown = new SecretSearch(decoys);
const both = new SecretSearch({ ...canaries, ...decoys });
const lookout = new ProcessLookout(both);

let godwit: Installation;
let folder: string;
let database: Connection;
/** Secrets of the installation itself, and the files below its home that are there to hold them. */
const own = new Map<string, string[]>();

/** Somebody outside who is told of events. */
const posts: string[] = [];
const receiver = createServer(async (request, response) => {
  posts.push(`${request.rawHeaders.join('\n')}\n${await textOf(request)}`);
  response.writeHead(204).end();
});

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'gw-secrets-'));
  mkdirSync(path.join(folder, 'tmp'));
  lookout.start();
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  godwit = await Installation.start({ GODWIT_LOG: 'trace', TMPDIR: path.join(folder, 'tmp') });
  database = connect(godwit.databaseUrl());
  const of = (...names: string[]) => readFileSync(path.join(godwit.home, ...names), 'utf8');
  const keys = [...of('keys', 'secrets.json').matchAll(/"([A-Za-z0-9+/=]{40,})"/g)].map(([, key]) => key ?? '');
  const admin = /OS_PASSWORD=['"]?([^'"\n]+)/.exec(of('openrc'))?.[1] ?? '';
  own.set(admin, ['clouds.yaml', 'openrc']);
  own.set(decodeURIComponent(new URL(godwit.databaseUrl()).password), ['postgres/password']);
  own.set(godwit.access.token, []);
  for (const key of keys) own.set(key, ['keys/secrets.json']);
  expect(own.size).toBeGreaterThan(3);
  for (const secret of own.keys()) {
    expect(secret.length).toBeGreaterThan(8);
    for (const search of [secrets, both]) search.add({ [`own: ${own.get(secret)}`]: known(secret) });
  }
});
afterAll(async () => {
  lookout.stop();
  await database?.close();
  await godwit?.stop();
  receiver.closeAllConnections();
  receiver.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Values above 2 kB lie compressed in tables and in the WAL, where a search of bytes would not find them. */
async function keepUncompressed(): Promise<void> {
  const { rows } = await sql<{ change: string }>`
    select format('alter table %s %s', attrelid::regclass,
      string_agg(format('alter %I set storage external', attname), ', ')) as change
    from pg_attribute join pg_class on pg_class.oid = attrelid
    where relkind = 'r' and attstorage = 'x' and attnum > 0 and not attisdropped
      and relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema')
    group by attrelid`.execute(database.db);
  expect(rows.length).toBeGreaterThan(25);
  for (const { change } of rows) await sql.raw(change).execute(database.db);
}

/** Everything that was answered or told, by place. */
const told = new Map<string, string>();
const tell = (place: string, text: string): void => void told.set(place, `${told.get(place) ?? ''}${text}\n`);

async function ask<T>(method: string, route: string, body?: unknown): Promise<T> {
  const answer = await godwit.request(method, route, body);
  tell('answers', `${method} ${route}: ${JSON.stringify(answer)}`);
  return answer.body as T;
}

/** Listens to everything that the installation tells as it happens, until it is stopped. */
async function listen(): Promise<() => void> {
  const { root, token } = godwit.access;
  const stop = new AbortController();
  const headers = { 'x-auth-token': token };
  const events = await fetch(`${root}/events?last_event_id=0`, { headers, signal: stop.signal });
  const reading = (async () => {
    for await (const chunk of events.body ?? []) tell('event stream', Buffer.from(chunk).toString());
  })();
  reading.catch(() => undefined);
  const socket = new WebSocket(`${godwit.url.replace('http', 'ws')}/logs/api/v1/ws?severity=7`, { headers });
  socket.addEventListener('message', ({ data }) => tell('log stream', String(data)));
  await new Promise((resolve) => socket.addEventListener('open', resolve));
  return () => {
    stop.abort();
    socket.close();
  };
}

/** Where the clouds' users would be known: Godwit's own identity, which does not know them. */
const connections = (keystone: string) => ({
  sasl: { uri: 'qemu+tcp://127.0.0.1:1/system', username: 'operator', password: canaries['password of libvirt'].value },
  ssh: {
    uri: 'qemu+ssh://root@127.0.0.1:1/system',
    ssh_private_key: canaries['key of libvirt'].value,
    password: canaries['password of libvirt'].value,
  },
  cloud: {
    auth_url: keystone,
    username: 'operator',
    project_name: 'lab',
    password: canaries['password of openstack'].value,
  },
  application: {
    auth_url: keystone,
    application_credential_id: 'ab12',
    application_credential_secret: canaries['secret of an application credential'].value,
  },
  yaml: {
    cloud: 'lab',
    clouds_yaml: `clouds: {lab: {auth: {auth_url: ${keystone}, username: another, project_name: lab, password: "${canaries['password in clouds.yaml'].value}"}}}`,
  },
});
type Guarded = keyof ReturnType<typeof connections>;
const connectionsOf = () => connections(`${godwit.url}/identity/v3`);

/** Endpoints with secrets, used in every way; nobody answers there, so errors tell all they have. */
async function guardedEndpoints(): Promise<Record<Guarded, string>> {
  const made = await Promise.all(
    Object.entries(connectionsOf()).map(async ([name, connection_info]) => {
      const type = 'uri' in connection_info ? 'libvirt' : 'openstack';
      const endpoint = { name, type, description: '', connection_info };
      const { id } = (await ask<{ endpoint: { id: string } }>('POST', '/endpoints', { endpoint })).endpoint;
      await ask('POST', `/endpoints/${id}/actions`, { 'validate-connection': null });
      // Guessing is slowed down there: a few questions must do.
      const asked = type === 'libvirt' ? ['instances', 'networks', 'storage', 'inventory'] : ['instances'];
      for (const what of asked) {
        tell('answers', (await godwit.read(`/endpoints/${id}/${what}`)).text);
      }
      await ask('PUT', `/endpoints/${id}`, { endpoint: { name, connection_info: { ...connection_info, uri: 7 } } });
      // Requests that are refused carry the secret too.
      for (const wrong of [{ type: 'nonesuch' }, { connection_info: { ...connection_info, pasword: 'x' } }]) {
        await ask('POST', '/endpoints', { endpoint: { ...endpoint, ...wrong } });
      }
      return [name, id];
    }),
  );
  return Object.fromEntries(made) as Record<Guarded, string>;
}

/** Executes a transfer that cannot be: as soon as it is tried again, which may take for ever, it is cancelled. */
async function inTrouble(transfer: string): Promise<string> {
  const route = await godwit.execute(transfer);
  const told = async () => /Trying again|"status":"ERROR"/.test((await godwit.read(route)).text);
  await godwit.until('it is in trouble', told, 60_000);
  await ask('POST', `${route}/actions`, { cancel: { force: false } });
  const { id, status } = await godwit.ended(route);
  expect(['CANCELED', 'ERROR']).toContain(status);
  return id;
}

/** A pool of helper machines in a cloud that lets nobody in. */
async function poolInTrouble(endpoint: string): Promise<string> {
  const pool = await godwit.get<{ id: string }>('POST', '/minion_pools', 'minion_pool', {
    minion_pool: {
      name: 'helpers',
      endpoint_id: endpoint,
      os_type: 'linux',
      platform: 'destination',
      environment_options: { minion_image: 'debian' },
      minimum_minions: 1,
      maximum_minions: 1,
    },
  });
  const status = async () =>
    (await godwit.get<{ status: string }>('GET', `/minion_pools/${pool.id}`, 'minion_pool')).status;
  await godwit.until('the pool has failed', async () => (await status()) === 'ERROR', 60_000);
  return pool.id;
}

interface Run {
  transfer: string;
  execution: string;
  deployment: string;
  schedule: string;
  source: string;
  target: string;
}

/** A machine on its whole way: executed, updated, executed by a schedule, deployed. */
async function wholeWay(source: string, target: string): Promise<Run> {
  const name = decoys.instance.value;
  mkdirSync(path.join(source, name), { recursive: true });
  mkdirSync(target);
  writeFileSync(path.join(source, name, 'a.raw'), fill(seeded(3), Buffer.alloc(2 * MiB)));
  const from = await godwit.endpoint('old', 'image', { path: source });
  const to = await godwit.endpoint('fresh', 'image', { path: target });
  const transfer = await godwit.transfer(from, to, [name]);
  const route = await godwit.execute(transfer);
  expect((await godwit.ended(route)).status).toBe('COMPLETED');
  const { execution } = await ask<{ execution: { id: string } }>('PUT', `/transfers/${transfer}`, {
    transfer: { notes: 'moved', destination_environment: { disk_format: 'raw' } },
  });
  expect((await godwit.ended(`/transfers/${transfer}/executions/${execution.id}`)).status).toBe('COMPLETED');
  const { schedule } = await ask<{ schedule: { id: string } }>('POST', `/transfers/${transfer}/schedules`, {
    schedule: { cron: '* * * * *', timezone: 'UTC' },
  });
  // As if it had been made a while ago: a minute to wait for is a minute of this test.
  await sql`update schedule set checked_at = checked_at - interval '2 minutes' where id = ${schedule.id}`.execute(
    database.db,
  );
  await godwit.until(
    'the schedule has fired',
    async () =>
      (await database.db.selectFrom('schedule_tick').select('outcome').where('outcome', '=', 'fired').execute())
        .length > 0,
    60_000,
  );
  await ask('PUT', `/transfers/${transfer}/schedules/${schedule.id}`, { enabled: false });
  const idle = async () => {
    const { transfer: now } = await ask<{ transfer: { last_execution_status: string } }>(
      'GET',
      `/transfers/${transfer}`,
    );
    return now.last_execution_status === 'COMPLETED';
  };
  await godwit.until('the scheduled execution is through', idle, 60_000);
  const deployment = await godwit.get<{ id: string }>('POST', '/deployments', 'deployment', {
    deployment: { transfer_id: transfer, clone_disks: true, skip_os_morphing: true },
  });
  await godwit.deployed(deployment.id);
  return {
    transfer,
    execution: route.split('/').at(-1) ?? '',
    deployment: deployment.id,
    schedule: schedule.id,
    source: from,
    target: to,
  };
}

/** Whatever GET answers: every operation of the description, for every id of its kind. */
async function readEverything(ids: Record<string, string[]>): Promise<string[]> {
  const description = await (await fetch(`${godwit.url}/openapi.json`)).text();
  tell('openapi', description);
  const { paths } = JSON.parse(description) as { paths: Record<string, Record<string, unknown>> };
  const routes = Object.entries(paths)
    // The stream has no end; it is listened to all the time.
    .filter(([, { get }]) => get !== undefined && !JSON.stringify(get).includes('text/event-stream'))
    .map(([route]) => route);
  const answered = new Set<string>();
  const read = async (route: string) => {
    const places = [...route.matchAll(/\{(\w+)\}/g)].reduce<string[]>(
      (known, [word, name = '']) =>
        known.flatMap((place) => (ids[name] ?? ['nobody']).map((id) => place.replace(word, id))),
      [route],
    );
    for (const place of places) {
      const { status, text } = await godwit.read(place);
      tell(placeOf(route), `GET ${place}: ${status} ${text}`);
      if (status === 200) answered.add(route);
    }
  };
  await Promise.all(routes.map(read));
  return routes.filter((route) => !answered.has(route));
}

function placeOf(route: string): string {
  for (const place of ['metrics', 'audit', 'diagnostics', 'receipts', 'inventory', 'logs']) {
    if (route.includes(`/${place}`)) return place;
  }
  return 'answers';
}

/** What the command line client prints, to either side, in each of its formats. */
async function commandLine(commands: string[][]): Promise<void> {
  process.env.GODWIT_HOME = godwit.home;
  const globals = { os: new Map<string, string>(), endpoint: undefined, debug: true };
  const api = signIn(globals);
  for (const format of OUTPUT_FORMATS) {
    let said = '';
    const write = (text: string): boolean => {
      said += text;
      return true;
    };
    const stream = { write } as unknown as NodeJS.WriteStream & { fd: 1 & 2 };
    const context: CliContext = {
      process: { stdout: stream, stderr: stream, env: {} },
      globals,
      connect: () => api,
      connectIdentity: () => signInAtIdentity(globals),
      connectLogs: () => signInAtLogs(globals),
      readStdin: async () => '',
      print: (text) => void stream.write(text),
      warn: (line) => void stream.write(line),
      now: () => performance.now(),
      setExitCode: () => undefined,
    };
    for (const words of commands) {
      said = '';
      await runGodwit([...words, '-f', format], '0', () => context, true);
      expect(said, words.join(' ')).not.toContain('ERROR:');
      tell(`command line, ${format}`, `${words.join(' ')}\n${said}`);
    }
  }
}

/** The program itself, as a user runs it: what is secret it is told by its standard input. */
function program(expected: number, ...words: string[]): void {
  const env = { PATH: process.env.PATH, HOME: folder, GODWIT_HOME: godwit.home, DATABASE_URL: '' };
  const main = path.join(repository, 'packages/cli/bin/godwit.js');
  const input = JSON.stringify(connectionsOf().sasl);
  const run = spawnSync(process.execPath, [main, ...words], { encoding: 'utf8', env, input });
  expect(run.status, run.stderr).toBe(expected);
  tell('program', `${words.join(' ')}\n${run.stdout}${run.stderr}`);
}

/** Every row of every table, of the durable engine's too. */
async function tablesAsText(): Promise<string> {
  const { rows: tables } = await sql<{ name: string }>`
    select quote_ident(table_schema) || '.' || quote_ident(table_name) as name from information_schema.tables
    where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')`.execute(database.db);
  expect(tables.length).toBeGreaterThan(25);
  const lines: string[] = [];
  for (const { name } of tables) {
    const { rows } = await sql<{ line: string }>`select t::text as line from ${sql.raw(name)} t`.execute(database.db);
    lines.push(...rows.map(({ line }) => `${name}: ${line}`));
  }
  return lines.join('\n');
}

/** A backup, unpacked: as it lies there nothing could be found in it. */
function backup(...flags: string[]): string {
  const file = path.join(folder, `backup${flags.length}`);
  program(0, 'db', 'backup', file, ...flags);
  const packed = readFileSync(file);
  const end = packed.indexOf('\n') + 1;
  return packed.toString('latin1', 0, end) + zstdDecompressSync(packed.subarray(end)).toString('latin1');
}

it('finds what is written in any of the usual encodings, and nothing else', () => {
  for (const name of Object.keys(encodings)) {
    const { value } = decoys[`as ${name}` as keyof typeof decoys];
    const written = `before ${encodings[name]?.(value)} after`;
    expect(shown.in(written), name).toEqual([`as ${name}`]);
    expect(secrets.in(written), name).toEqual([]);
    expect(shown.in('before after')).toEqual([]);
  }
});

it('shows the secrets of endpoints nowhere: not while they are used, not in what is kept, not in what it answers', async () => {
  await keepUncompressed();
  const planted = path.join(godwit.home, 'logs', 'planted.log');
  writeFileSync(planted, '');
  const stopListening = await listen();
  const port = (receiver.address() as AddressInfo).port;
  const { webhook } = await ask<{ webhook: { id: string } }>('POST', '/webhooks', {
    webhook: {
      name: 'outside',
      url: `http://127.0.0.1:${port}/`,
      events: ['endpoint', 'transfer', 'execution', 'task', 'progress', 'deployment', 'schedule', 'minion_pool'],
      secret: `whsec_${Buffer.from(canaries['secret of a webhook'].value).toString('base64')}`,
    },
  });
  const target = path.join(folder, 'target');
  const [guarded, run] = await Promise.all([guardedEndpoints(), wholeWay(path.join(folder, 'source'), target)]);
  const failing = await godwit.transfer(guarded.sasl, run.target, ['web01']);
  const outward = await godwit.transfer(run.source, guarded.ssh, [decoys.instance.value]);
  const cloudward = await godwit.transfer(run.source, guarded.cloud, [decoys.instance.value]);
  const [pool, ...troubled] = await Promise.all([
    poolInTrouble(guarded.application),
    ...[failing, outward, cloudward].map(inTrouble),
  ]);

  // Decoys: one in each encoding; one in a path, which the audit keeps; one in a log.
  for (const [name, encode] of Object.entries(encodings)) {
    const description = encode(decoys[`as ${name}` as keyof typeof decoys].value);
    const endpoint = { name, type: 'image', description, connection_info: { path: target } };
    await ask('POST', '/endpoints', { endpoint });
  }
  await ask('DELETE', `/transfers/${decoys.path.value}`);
  const line = { name: 'planted', time: new Date().toISOString(), level: 'info', msg: decoys.log.value };
  appendFileSync(planted, `${JSON.stringify(line)}\n`);
  writeFileSync(path.join(folder, 'tmp', 'planted'), decoys.log.value);
  // Nobody answers there, and so it ends with 1.
  program(1, 'endpoint', 'create', '--name', 'by-program', '--provider', 'libvirt', '--connection-file', '-');
  await godwit.until('the webhook was told', async () => shown.in(posts.join()).includes('instance'), 60_000);
  await godwit.until('the log was told', async () => shown.in(told.get('log stream') ?? '').includes('log'), 60_000);
  await ask('POST', '/regions', { region: { name: 'site-b', description: 'far' } });
  const ids = async (of: string) => (await godwit.get<{ id: string }[]>('GET', `/${of}`, of)).map(({ id }) => id);
  const receipts = await ids('receipts');
  const { key_id } = await ask<{ key_id: string }>('GET', `/receipts/${receipts[0]}`);
  const { user_id } = (await ask<{ webhook: { user_id: string } }>('GET', `/webhooks/${webhook.id}`)).webhook;
  const unread = await readEverything({
    // The clouds have been asked as often as they may be, and their endpoints are shown below.
    endpoint_id: [guarded.sasl, guarded.ssh, run.source, run.target],
    transfer_id: [run.transfer, failing, outward, cloudward],
    execution_id: [run.execution, ...troubled],
    schedule_id: [run.schedule],
    deployment_id: [run.deployment],
    migration_id: [run.deployment],
    receipt_id: receipts,
    key_id: [key_id],
    region_id: await ids('regions'),
    service_id: await ids('services'),
    resource_id: await ids('resources'),
    project_id: [godwit.projectId],
    user_id: [user_id],
    webhook_id: [webhook.id],
    minion_pool_id: [pool],
    instance: [Buffer.from(decoys.instance.value).toString('base64url')],
    platform: ['image', 'libvirt', 'openstack'],
    type: ['1', '2', '4', '8', '16'],
    log_name: ['api', 'worker', 'server', 'planted'],
  });
  // What the platforms here do not have; and the description of a token, named by a header.
  expect(unread.map((route) => route.split('/').at(-1)).sort()).toEqual([
    'destination-minion-pool-options',
    'source-minion-pool-options',
    'tokens',
  ]);
  await commandLine([
    ['endpoint', 'list'],
    ...['sasl', 'application', 'clear', ...Object.keys(encodings)].map((name) => ['endpoint', 'show', name]),
    ['transfer', 'list'],
    ['transfer', 'show', failing],
    ['transfer', 'execution', 'show', run.transfer, run.execution],
    ['transfer', 'schedule', 'list', run.transfer],
    ['deployment', 'show', run.deployment],
    ['receipt', 'list'],
    ['receipt', 'show', receipts[0] ?? ''],
    ['ledger', 'list', '--transfer', run.transfer],
    ['resource', 'list'],
    ['webhook', 'show', 'outside'],
    ['minion', 'pool', 'show', pool],
    ['diagnostics', 'get'],
  ]);
  tell('webhook', posts.join('\n'));
  tell('log', godwit.log);
  tell('database', await tablesAsText());
  tell('backup', backup());
  tell('backup with keys', backup('--with-keys'));
  stopListening();

  // What shows a secret as these two do would have been seen.
  const sleeper = spawn('sleep', ['600'], {
    argv0: decoys.argv.value,
    env: { DECOY: decoys.environment.value },
    stdio: 'ignore',
  });
  const decoysSeen = async () => lookout.found.has('cmdline: argv') && lookout.found.has('environ: environment');
  await godwit.until('the lookout sees the decoys', decoysSeen, 60_000);
  sleeper.kill('SIGKILL');
  expect(lookout.programs).toContain('virsh');
  // The name of a machine is no secret, and virsh is told it.
  expect([...lookout.found].filter((found) => found !== 'cmdline: instance').sort()).toEqual([
    'cmdline: argv',
    'environ: environment',
  ]);

  const found = [...told].map(([place, text]) => [place, secrets.in(text)] as const);
  expect(found.filter(([, names]) => names.length > 0)).toEqual([['backup with keys', ['own: keys/secrets.json']]]);
  // Each place was searched where it tells something: all of them but three hold what was laid there.
  const all = [...encoded, 'instance'].sort();
  const rows = [...all, 'path'].sort();
  const laid: Record<string, string[]> = {
    answers: rows,
    'event stream': ['instance'],
    'log stream': ['log'],
    logs: ['instance', 'log'],
    log: ['instance'],
    webhook: ['instance'],
    inventory: ['instance'],
    receipts: ['instance'],
    audit: ['path'],
    database: rows,
    backup: rows,
    'backup with keys': rows,
    ...Object.fromEntries(OUTPUT_FORMATS.map((format) => [`command line, ${format}`, all])),
  };
  for (const [place, names] of Object.entries(laid)) expect(shown.in(told.get(place) ?? ''), place).toEqual(names);
  const others = [...told.keys()].filter((place) => laid[place] === undefined);
  expect(others.sort()).toEqual(['diagnostics', 'metrics', 'openapi', 'program']);
  expect(told.get('diagnostics')).toContain(hostname());
  expect(told.get('metrics')).toContain(hostname());
  expect(told.get('openapi')).toContain('"openapi":"3.1');
  expect(told.get('program')).toContain('by-program');

  // Files: keys, logs, work folders, temporary ones, what lies at the target, the database's own with what is long deleted.
  // Pages that have only been changed in memory are written.
  await sql`checkpoint`.execute(database.db);
  const folders = [godwit.home, target, path.join(folder, 'tmp')];
  const holding = (search: SecretSearch) => search.files(...folders).map((file) => path.relative(godwit.home, file));
  expect(holding(new SecretSearch(canaries))).toEqual([]);
  for (const [secret, files] of own) expect(holding(new SecretSearch({ own: known(secret) })).sort()).toEqual(files);
  const decoyed = holding(shown).join('\n');
  for (const seen of [
    /^postgres\/data\/base\//m,
    /^postgres\/data\/pg_wal\//m,
    /^logs\//m,
    /target\//,
    /tmp\/planted$/m,
  ]) {
    expect(decoyed).toMatch(seen);
  }
}, 300_000);
