// Over 400 lines: what an operator does with one installation, command after command, over the same few endpoints and transfers.
import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { Installation } from '../../../testbed/spine/installation.ts';

const program = fileURLToPath(new URL('../bin/godwit.js', import.meta.url));
const MIB = 1_048_576;

let server: Installation;
let folder: string;

interface Run {
  code: number;
  stdout: string;
  stderr: string;
}

function environment(more: Record<string, string> = {}): Record<string, string> {
  return { PATH: process.env.PATH ?? '', HOME: folder, GODWIT_HOME: server.home, ...more };
}

/** Runs the real program against the real server, signed in by the openrc that the server wrote. */
function godwit(args: string[], options: { input?: string; env?: Record<string, string> } = {}): Promise<Run> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [program, ...args],
      { env: environment(options.env) },
      (error, out, err) => {
        resolve({
          code: typeof error?.code === 'number' ? error.code : error === null ? 0 : 1,
          stdout: out,
          stderr: err,
        });
      },
    );
    child.stdin?.end(options.input ?? '');
  });
}

/** The same, for what must succeed; gives standard output without the last line feed. */
async function done(args: string[], input = ''): Promise<string> {
  const run = await godwit(args, { input });
  expect(run.stderr, args.join(' ')).not.toContain('ERROR');
  expect(run.code, `${args.join(' ')}: ${run.stderr}`).toBe(0);
  return run.stdout.trimEnd();
}

/** A raw disk with recognisable bytes. */
function makeDisk(name: string, mebibytes: number): void {
  const bytes = Buffer.alloc(mebibytes * MIB);
  for (let at = 0; at < bytes.length; at += 4_096) bytes.writeUInt32LE(at + 1, at);
  writeFileSync(join(folder, 'source', `${name}.raw`), bytes);
}

/** Slow enough to be caught in the middle of it, on any machine. */
const SLOWLY = ['--rate-limit', '16MiB/s'];

async function transferOf(instance: string, ...more: string[]): Promise<string> {
  const create = ['transfer', 'create', '--origin-endpoint', 'src', '--destination-endpoint', 'dst'];
  return done([...create, '--instance', instance, ...more, '-f', 'value', '-c', 'id']);
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gwe-'));
  for (const name of ['source', 'target']) mkdirSync(join(folder, name));
  makeDisk('web01', 8);
  makeDisk('slow01', 64);
  makeDisk('gone01', 1);
  server = await Installation.start();
  await done(['endpoint', 'create', '--name', 'src', '--provider', 'image', '--connection', at('source')]);
  await done(['endpoint', 'create', '--name', 'dst', '--provider', 'image', '--connection-file', '-'], at('target'));
});

afterAll(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const at = (name: string): string => JSON.stringify({ path: join(folder, name) });

describe('lists and objects', () => {
  test('come in every format with the columns of existing clients', async () => {
    const list = ['endpoint', 'list', '-c', 'Name', '-c', 'Type', '--sort-column', 'Name'];
    expect(await done(list)).toBe(
      [
        '+------+-------+',
        '| Name | Type  |',
        '+------+-------+',
        '| dst  | image |',
        '| src  | image |',
        '+------+-------+',
      ].join('\n'),
    );
    const rows = [
      { Name: 'dst', Type: 'image' },
      { Name: 'src', Type: 'image' },
    ];
    expect(JSON.parse(await done([...list, '-f', 'json']))).toEqual(rows);
    expect(parse(await done([...list, '-f', 'yaml']))).toEqual(rows);
    expect(await done([...list, '-f', 'csv'])).toBe('"Name","Type"\n"dst","image"\n"src","image"');
    expect(await done([...list, '-f', 'value'])).toBe('dst image\nsrc image');
    expect(await done(['endpoint', 'list', '-cName', '-fvalue'])).toBe(
      await done(['endpoint', 'list', '-c', 'Name', '-f', 'value']),
    );
  });

  test('may be named by name or id', async () => {
    const id = await done(['endpoint', 'show', 'src', '-f', 'value', '-c', 'id']);
    expect(await done(['endpoint', 'show', id, '-f', 'value', '-c', 'name'])).toBe('src');
    const unknown = await godwit(['endpoint', 'show', 'srcc']);
    expect(unknown.stderr).toContain('There is no endpoint "srcc". Did you mean "src"?');
    expect(unknown.code).toBe(1);
  });

  test('of the platform: instances, networks, storage, options, inventory', async () => {
    expect(await done(['endpoint', 'instance', 'list', 'src', '--name', 'web', '-f', 'value', '-c', 'Name'])).toBe(
      'web01',
    );
    const instance = await done(['endpoint', 'instance', 'show', 'src', 'web01', '-f', 'json']);
    expect(JSON.parse(instance)).toMatchObject({ Name: 'web01', Disks: [{ size_bytes: 8 * MIB }] });
    await done(['endpoint', 'network', 'list', 'dst']);
    await done(['endpoint', 'storage', 'list', 'dst', '-f', 'json']);
    await done(['endpoint', 'destination', 'options', 'list', 'dst', '--environment', '{}']);
    const limits = ['endpoint', 'limits', 'set', 'dst', '-f', 'value', '--rate-limit'];
    expect(await done([...limits, '1Gbit/s'])).toBe('125000000');
    expect(await done([...limits, 'none'])).toBe('None');
    await done(['endpoint', 'export', 'inventory', 'src', '--output-file', join(folder, 'inventory.csv')]);
    expect(readFileSync(join(folder, 'inventory.csv'), 'utf8')).toContain('web01');
  });

  test('of what happens by the clock, and of helper machines', async () => {
    const transfer = await transferOf('web01');
    const create = ['transfer', 'schedule', 'create', transfer, '-M', '30', '-H', '2', '-w', '0'];
    const schedule = await done([...create, '--expires-at', '2099-01-01T00:00:00Z', '-f', 'value', '-c', 'id']);
    const rows = JSON.parse(await done(['transfer', 'schedule', 'list', transfer, '--hide-expired', '-f', 'json']));
    expect(rows).toMatchObject([{ ID: schedule, Schedule: { minute: 30, hour: 2, dow: 0 }, Enabled: true }]);
    const update = ['transfer', 'schedule', 'update', transfer, schedule];
    const changed = await done([
      ...update,
      '--cron',
      '0 3 * * sun',
      '--timezone',
      'Europe/Berlin',
      '--disabled',
      '-f',
      'json',
    ]);
    expect(JSON.parse(changed)).toMatchObject({ enabled: false, schedule: { cron: '0 3 * * sun' } });
    expect((await godwit(update)).code).toBe(2);
    expect(await done([...update, '--no-expiration-date', '-f', 'value', '-c', 'expires'])).toBe('None');
    await done(['transfer', 'schedule', 'delete', transfer, schedule]);
    expect((await godwit(['transfer', 'schedule', 'show', transfer, schedule])).stderr).toContain('not found');
    expect((await godwit(['transfer', 'schedule', 'create', transfer])).stderr).toContain('Say when');
    expect(await done(['minion', 'pool', 'list', '-f', 'json'])).toBe('[]');
    const pool = [
      'minion',
      'pool',
      'create',
      'helpers',
      '--endpoint-id',
      'src',
      '--platform',
      'source',
      '--os-type',
      'linux',
    ];
    expect((await godwit(pool)).stderr).toContain('Provider not found for: image, 524288');
    await done(['transfer', 'delete', transfer]);
  });

  test('of the identity: users, projects, roles, without a password on the command line', async () => {
    const project = await done([
      'project',
      'create',
      'tenant',
      '--description',
      'second floor',
      '-f',
      'value',
      '-c',
      'id',
    ]);
    const create = ['user', 'create', 'mona', '--project', 'tenant', '--role', 'member', '--password-file', '-'];
    const user = await done([...create, '-f', 'value', '-c', 'id'], 'a very long secret\n');
    const roles = JSON.parse(await done(['role', 'assignment', 'list', '-f', 'json']));
    expect(roles).toContainEqual({ Role: 'member', User: 'mona', Project: 'tenant' });
    const mona = { OS_USERNAME: 'mona', OS_PASSWORD: 'a very long secret', OS_PROJECT_NAME: 'tenant' };
    const as = (args: string[]) => godwit(args, { env: { ...mona, OS_AUTH_URL: `${server.url}/identity/v3` } });
    expect((await as(['endpoint', 'list', '-f', 'json'])).stdout.trim()).toBe('[]');
    expect((await as(['user', 'list'])).stderr).toContain('not authorized');
    await done(['role', 'add', 'reader', '--user', user, '--project', project]);
    await done(['role', 'remove', 'member', '--user', 'mona', '--project', 'tenant']);
    expect((await as(['region', 'create', 'x'])).stderr).toContain('migration:regions:create');
    await done(['user', 'set', 'mona', '--disable']);
    expect(await done(['user', 'show', 'mona', '-f', 'value', '-c', 'enabled'])).toBe('False');
    expect((await as(['endpoint', 'list'])).code).toBe(1);
    await done(['user', 'delete', 'mona']);
    await done(['project', 'set', project, '--name', 'old']);
    expect(await done(['project', 'list', '-f', 'value', '-c', 'Name'])).toBe('admin\nold');
    await done(['project', 'delete', 'old']);
    expect((await godwit(['project', 'show', 'old'])).stderr).toContain('There is no project "old"');
  });

  test('of who is told of events, and of the logs', async () => {
    const create = ['webhook', 'create', 'pager', '--url', 'http://127.0.0.1:9/', '--event', 'execution', '--disabled'];
    expect(await done([...create, '-f', 'value', '-c', 'secret'])).toMatch(/^whsec_/);
    expect(await done(['webhook', 'list', '-f', 'value', '-c', 'Name', '-c', 'Events'])).toContain('pager');
    const update = ['webhook', 'update', 'pager', '--all-events', '--enabled', '-f', 'value', '-c', 'enabled'];
    expect(await done(update)).toBe('True');
    const statuses = async (...change: string[]) =>
      JSON.parse(await done(['webhook', 'update', 'pager', ...change, '-f', 'json', '-c', 'statuses'])).statuses;
    expect(await statuses('--status', 'ERROR', '--status', 'CANCELED')).toEqual(['ERROR', 'CANCELED']);
    expect(await statuses('--all-statuses')).toEqual([]);
    expect((await godwit(['webhook', 'update', 'pager', '--status', 'FAILED'])).stderr).toContain('must be one of');
    await done(['webhook', 'test', 'pager']);
    expect(await done(['webhook', 'rotate', 'secret', 'pager', '-f', 'value', '-c', 'secret'])).toMatch(/^whsec_/);
    expect((await godwit(['webhook', 'delivery', 'list', 'pager'])).code).toBe(0);
    await done(['webhook', 'delete', 'pager']);
    expect(await done(['log', 'list', '-f', 'value'])).toContain('worker');
    expect(await done(['log', 'download', 'api', '--start-time', '1d'])).toContain('"level"');
    expect((await godwit(['log', 'download', 'nope'])).stderr).toContain('not found');
  });

  test('of the installation: providers, schemas, services, regions, diagnostics', async () => {
    const providers = JSON.parse(await done(['provider', 'list', '-f', 'json'])) as { Platform: string }[];
    expect(providers.map((provider) => provider.Platform)).toContain('image');
    expect(await done(['provider', 'schema', 'list', 'image', 'connection'])).toContain('connection_info_schema');
    expect(await done(['service', 'list', '-f', 'value', '-c', 'Status'])).toContain('UP');
    const region = await done(['region', 'create', 'site-b', '--description', 'far', '-f', 'value', '-c', 'ID']);
    expect(await done(['region', 'update', 'site-b', '--disabled', '-f', 'value', '-c', 'Enabled'])).toBe('False');
    expect(await done(['region', 'show', region, '-f', 'value', '-c', 'Name'])).toBe('site-b');
    await done(['region', 'delete', 'site-b']);
    expect(await done(['diagnostics', 'get', '-f', 'value', '-c', 'Application'])).toContain('godwit');
  });
});

describe('a transfer', () => {
  test('is executed, proven, deployed and cleared away', async () => {
    const transfer = await transferOf('web01');
    const execute = await godwit(['transfer', 'execute', transfer, '--wait', '-f', 'json']);
    expect(execute.code, execute.stderr).toBe(0);
    expect(JSON.parse(execute.stdout)).toMatchObject({ status: 'COMPLETED', instances: ['web01'] });
    expect(execute.stderr).toContain('web01: REPLICATE_DISKS COMPLETED');
    expect(execute.stderr).toContain('100% 8.00 MiB of 8.00 MiB');
    expect(execute.stderr).not.toContain('\x1b');

    const receipts = JSON.parse(await done(['receipt', 'list', '--transfer', transfer, '-f', 'json'])) as {
      ID: string;
      Result: string;
    }[];
    expect(receipts.map((receipt) => receipt.Result)).toEqual(['match']);
    const path = join(folder, 'web01.receipt');
    await done(['receipt', 'save', receipts[0]?.ID ?? '', '--output-file', path]);
    expect(JSON.parse(readFileSync(path, 'utf8'))).toHaveProperty('signature');
    expect(readFileSync(`${path}.leaves`).length).toBe((8 * MIB * 32) / 65_536);

    const replica = join(
      folder,
      'target',
      await done(['ledger', 'list', '--transfer', transfer, '-f', 'value', '-c', 'Name']),
    );
    expect(await done(['verify', path, '--disk', replica])).toContain('valid, key ');
    const broken = join(folder, 'broken.raw');
    const bytes = readFileSync(replica);
    bytes.writeUInt8(bytes.readUInt8(5 * MIB) ^ 1, 5 * MIB);
    writeFileSync(broken, bytes);
    const refused = await godwit(['verify', path, '--disk', broken]);
    expect(refused.stdout).toContain(String(5 * MIB));
    expect(refused.code).toBe(1);

    expect(await done(['transfer', 'disks', 'list', transfer, '-f', 'value', '-c', 'Size'])).toBe(String(8 * MIB));
    expect(await done(['transfer', 'show', transfer])).toContain('COMPLETED');
    for (const destroy of [
      ['transfer', 'delete'],
      ['transfer', 'disks', 'delete'],
    ]) {
      const told = await godwit([...destroy, transfer, '--dry-run']);
      expect(told.stdout).toMatch(/^\| web01 .* 8\.00 MiB \| execution 1 /m);
      expect(told).toMatchObject({ code: 0, stderr: 'Nothing was deleted (--dry-run).\n' });
    }
    expect(await done(['ledger', 'list', '--transfer', transfer, '-f', 'value', '-c', 'State'])).toBe('made');

    const deploy = await godwit(['deployment', 'create', transfer, '--wait', '-f', 'value', '-c', 'id']);
    expect(deploy.code, deploy.stderr).toBe(0);
    const deployment = deploy.stdout.trim();
    expect(await done(['deployment', 'show', deployment, '-f', 'value', '-c', 'status'])).toBe('COMPLETED');
    await done(['deployment', 'delete', deployment]);
    expect(await done(['resource', 'list', '--migrated', '-f', 'value', '-c', 'Name'])).toBe('web01');

    const deleted = await godwit(['transfer', 'disks', 'delete', transfer, '--wait', '-f', 'value', '-c', 'status']);
    expect(deleted.stdout.trim(), deleted.stderr).toBe('COMPLETED');
    await done(['transfer', 'delete', transfer]);
    expect(await done(['transfer', 'list', '-f', 'value', '-c', 'ID'])).not.toContain(transfer);
  });

  test('that fails says why and what to do, and ends with 1', async () => {
    const transfer = await transferOf('gone01');
    rmSync(join(folder, 'source', 'gone01.raw'));
    const run = await godwit(['transfer', 'execute', transfer, '--wait', '-f', 'value', '-c', 'status']);
    expect(run.stdout.trim()).toBe('ERROR');
    expect(run.stderr).toMatch(/gone01: \w+ ERROR\n {2}[A-Z_]+: .*gone01.*\n {2}\w+/);
    expect(run.code).toBe(1);
  });

  test('goes on when the user stops watching, who is told how to come back', async () => {
    const transfer = await transferOf('slow01', ...SLOWLY);
    const child = spawn(process.execPath, [program, 'transfer', 'execute', transfer, '--wait'], { env: environment() });
    let said = '';
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    child.stderr.on('data', (data: Buffer) => {
      if (said === '') child.kill('SIGINT');
      said += data.toString('utf8');
    });
    expect(await ended).toBe(130);
    const again = /Follow it again: godwit (.*)/.exec(said)?.[1]?.split(' ') ?? [];
    expect(again.slice(0, 3)).toEqual(['transfer', 'execution', 'show']);
    const followed = await godwit([...again, '-f', 'value', '-c', 'status']);
    expect(followed.stdout.trim(), followed.stderr).toBe('COMPLETED');
    expect(followed.code).toBe(0);
  });

  test('is limited, unlimited and proven as its update says, and keeps what it does not mention', async () => {
    const transfer = await transferOf('slow01', '--audit', 'whole');
    const options = async (...change: string[]): Promise<unknown> => {
      const update = ['transfer', 'update', transfer, ...change, '--wait', '-f', 'value', '-c', 'status'];
      expect(await done(update)).toBe('COMPLETED');
      return JSON.parse(await done(['transfer', 'show', transfer, '-f', 'json', '-c', 'options']));
    };
    expect(await options('--rate-limit', '1MiB/s')).toEqual({ options: { audit: 'whole', rate_limit: MIB } });
    expect(await options('--verify', 'whole')).toEqual({
      options: { audit: 'whole', verify: 'whole', rate_limit: MIB },
    });
    expect(await options('--rate-limit', 'none')).toEqual({ options: { audit: 'whole', verify: 'whole' } });
    await done(['transfer', 'limits', 'set', transfer, '--rate-limit', '2MiB/s']);
    expect(await done(['transfer', 'limits', 'show', transfer, '-f', 'value'])).toBe(String(2 * MIB));
    const nothing = await godwit(['transfer', 'update', transfer]);
    expect(nothing.stderr).toContain('Nothing to change was given.');
    expect(nothing.code).toBe(2);
  });

  test('that is canceled ends canceled, and cannot be canceled twice', async () => {
    const transfer = await transferOf('slow01', ...SLOWLY);
    const execution = await done(['transfer', 'execute', transfer, '-f', 'value', '-c', 'id']);
    const change = await godwit(['transfer', 'update', transfer, '--rate-limit', '2MiB/s']);
    expect(change.code).toBe(1);
    expect(change.stderr.split('\n').slice(1, 3)).toEqual([
      `Wait until it has ended, or cancel it: godwit transfer execution cancel ${transfer} ${execution} --wait`,
      `The rate limit alone can be changed while it runs: godwit transfer limits set ${transfer} --rate-limit ${2 * MIB}`,
    ]);
    const cancel = await godwit(['transfer', 'execution', 'cancel', transfer, execution, '--wait']);
    const status = await done(['transfer', 'execution', 'show', transfer, execution, '-f', 'value', '-c', 'status']);
    expect({ code: cancel.code, status }).toEqual({ code: 0, status: 'CANCELED' });
    const again = await godwit(['transfer', 'execution', 'cancel', transfer, execution]);
    expect(again.stderr).toMatch(/^ERROR: .*no running execution.* \(HTTP 400\) \(Request-ID: req-[0-9a-f-]+\)\n/);
    expect(again.code).toBe(1);
  });
});

describe('refusals', () => {
  test('carry the status, the request id and what to do', async () => {
    const id = '00000000-0000-4000-8000-000000000000';
    const run = await godwit(['transfer', 'show', id]);
    expect(run.stderr).toMatch(/^ERROR: .*not found.* \(HTTP 404\) \(Request-ID: req-[0-9a-f-]+\)\n\w+/);
    expect(run).toMatchObject({ code: 1, stdout: '' });
  });

  test('of what is not there name the command that lists what is', async () => {
    const lists = {
      'transfer show nope': 'transfer list',
      'transfer execution show nope nope': 'transfer execution list nope',
      'deployment show nope': 'deployment list',
      'minion pool show nope': 'minion pool list',
      'service show nope': 'service list',
      'receipt show nope': 'receipt list',
    };
    for (const [line, list] of Object.entries(lists)) {
      const run = await godwit(line.split(' '));
      expect(run.stderr, line).toMatch(/^ERROR: NotFound: .* \(HTTP 404\) .*\n/);
      expect(run.stderr.split('\n')[1]).toBe(`See "godwit ${list}".`);
      expect(run.code).toBe(1);
    }
  });

  test('of a wrong password say so and nothing of the password', async () => {
    const run = await godwit(['endpoint', 'list'], { env: { OS_PASSWORD: 'hunter2' } });
    expect(run.stderr).toContain('(HTTP 401)');
    expect(run.stderr).not.toContain('hunter2');
    expect(run.code).toBe(1);
  });

  test('of a connection that does not work leave the endpoint to be mended', async () => {
    const create = ['endpoint', 'create', '--name', 'broken', '--provider', 'image', '--connection', at('nowhere')];
    const run = await godwit(create);
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(
      /ERROR: Endpoint broken was created, but its connection does not work: .*\n.*endpoint update/,
    );
    mkdirSync(join(folder, 'nowhere'));
    await done(['endpoint', 'validate', 'connection', 'broken']);
    await done(['endpoint', 'delete', 'broken']);
  });
});

test('clouds.yaml of the server is a way in, too', async () => {
  expect(existsSync(join(server.home, 'clouds.yaml'))).toBe(true);
  const [cloud = ''] = Object.keys(
    (parse(readFileSync(join(server.home, 'clouds.yaml'), 'utf8')) as { clouds: object }).clouds,
  );
  await done(['--os-cloud', cloud, 'region', 'list']);
});

test('events are told from the beginning, each on a line, and can be picked by type', async () => {
  const lines = (
    await done(['event', 'follow', '--after', '0', '--type', 'transfer', '--limit', '2', '-f', 'json'])
  ).split('\n');
  expect(lines).toHaveLength(2);
  for (const line of lines) expect(JSON.parse(line)).toMatchObject({ object_type: 'transfer' });
});

test('a provider is validated against a live endpoint', async () => {
  const run = await godwit(['provider', 'validate', 'dst', '--scratch', '--only', 'once per key']);
  expect(run.stderr).toMatch(/, 0 failed, /);
  expect(run.stdout).toContain('passed         makes one disk per source disk, large enough, once per key');
  expect(run.code).toBe(0);
});
