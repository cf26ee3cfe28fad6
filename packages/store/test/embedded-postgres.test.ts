import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { GodwitError } from '@godwit/domain';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type EmbeddedPostgres, embeddedUrl, type PostgresOptions, startPostgres } from '../src/embedded-postgres.ts';

/** Only where one may make namespaces can a full disk and a forbidden namespace be brought about. */
const namespace = ['unshare', '--user', '--map-root-user', '--mount'];
const confined = spawnSync(namespace[0]!, [...namespace.slice(1), 'true']).status === 0 ? it : undefined;

const fixture = path.join(import.meta.dirname, 'start-postgres.fixture.ts');
let folder = '';
const servers: EmbeddedPostgres[] = [];
const programs: ChildProcess[] = [];

/** A cluster made once, copied where a test does not care how it came to be. */
let original = '';

beforeAll(async () => {
  original = mkdtempSync(path.join(tmpdir(), 'gwp-'));
  await (await startPostgres(original)).stop();
});

afterAll(() => rmSync(original, { recursive: true, force: true }));

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'gwp-'));
});

function copyCluster(): void {
  cpSync(original, folder, { recursive: true });
  // Its port is remembered; two tests at once must not want the same.
  rmSync(path.join(folder, 'port'));
}

afterEach(async () => {
  for (const program of programs.splice(0)) program.kill('SIGKILL');
  for (const server of servers.splice(0)) await server.stop();
  // One whose parent was just killed is still shutting down.
  await untilGone(folder);
  rmSync(folder, { recursive: true, force: true, maxRetries: 20 });
});

async function start(options: PostgresOptions = {}): Promise<EmbeddedPostgres> {
  const server = await startPostgres(folder, options);
  servers.push(server);
  return server;
}

interface Said {
  pid: number;
  port: number;
  url: string;
  code?: string;
  text?: string;
}

/** Runs the fixture below the given words and waits for what it says. */
async function startProgram(words: string[] = [], args: string[] = []): Promise<Said & { program: ChildProcess }> {
  const [command, ...rest] = [...words, process.execPath, fixture, folder, ...args];
  const program = spawn(command!, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  programs.push(program);
  const [line] = (await once(createInterface(program.stdout!), 'line')) as [string];
  return { ...(JSON.parse(line) as Said), program };
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

/** Waits until no process works on the folder any more. */
async function untilGone(where: string): Promise<void> {
  while (processesOf(where).length > 0) await sleep(50);
}

function processesOf(where: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => commandOf(pid).includes(`${where}/data`))
    .map(Number);
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch (error) {
    // It ended while we looked.
    return error instanceof Error && 'code' in error ? '' : String(error);
  }
}

describe('the embedded Postgres', () => {
  it('makes a cluster that asks for a password, starts it again where it was and keeps what is in it', async () => {
    const first = await start();
    await query(first.url('postgres'), 'create table kept as select 42 as answer');
    await first.stop();
    const second = await start();
    expect(second.port).toBe(first.port);
    expect(second.url('postgres')).toBe(embeddedUrl(folder, 'postgres'));
    expect(await query(second.url('postgres'), 'select answer from kept')).toEqual([{ answer: 42 }]);
    const withoutPassword = `postgres://postgres@127.0.0.1:${second.port}/postgres`;
    await expect(query(withoutPassword, 'select 1')).rejects.toThrow(/password/);
    for (const file of ['password', 'port', 'postgres.log']) {
      expect(statSync(path.join(folder, file)).mode & 0o777).toBe(0o600);
    }
    expect(await query(second.url('postgres'), 'show password_encryption')).toEqual([
      { password_encryption: 'scram-sha-256' },
    ]);
  });

  it('dies with the process that started it and starts for the next one', async () => {
    copyCluster();
    const { program, url } = await startProgram();
    await query(url, 'create table kept as select 7 as answer');
    program.kill('SIGKILL');
    const next = await start();
    expect(await query(next.url('postgres'), 'select answer from kept')).toEqual([{ answer: 7 }]);
    await next.stop();
    expect(processesOf(folder)).toEqual([]);
  });

  it('tells when it was killed, and recovers what was committed', async () => {
    copyCluster();
    const first = await start();
    await query(first.url('postgres'), 'create table kept as select 7 as answer');
    process.kill(first.pid, 'SIGKILL');
    await first.exited;
    const second = await start();
    expect(await query(second.url('postgres'), 'select answer from kept')).toEqual([{ answer: 7 }]);
  });

  it('is not misled by a pid file whose process is another program', async () => {
    copyCluster();
    const first = await start();
    const file = path.join(folder, 'data', 'postmaster.pid');
    const content = readFileSync(file, 'utf8');
    await first.stop();
    writeFileSync(file, content.replace(/^\d+/, String(process.pid)));
    chmodSync(file, 0o600);
    const second = await start();
    expect(await query(second.url('postgres'), 'select 1 as one')).toEqual([{ one: 1 }]);
  });

  it('refuses a cluster of another major version and leaves it alone', async () => {
    const data = path.join(folder, 'data');
    mkdirSync(data, { recursive: true });
    writeFileSync(path.join(data, 'PG_VERSION'), '15\n');
    const error = await startPostgres(folder).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(GodwitError);
    expect(error).toMatchObject({ code: 'DATABASE_VERSION', details: { found: '15', needed: '18' } });
    expect(readdirSync(data)).toEqual(['PG_VERSION']);
  });

  it('refuses a fixed port that is taken, and takes another one where it may choose', async () => {
    copyCluster();
    const first = await start();
    await first.stop();
    const intruder = createServer().listen(first.port, '127.0.0.1');
    await once(intruder, 'listening');
    const { port } = intruder.address() as AddressInfo;
    try {
      const error = await startPostgres(folder, { port }).catch((e: unknown) => e);
      expect(error).toMatchObject({ code: 'DATABASE_PORT', details: { port } });
      const second = await start();
      expect(second.port).not.toBe(port);
      expect(embeddedUrl(folder, 'postgres')).toContain(`:${second.port}/`);
    } finally {
      intruder.close();
    }
  });

  confined?.('says that the disk is full, before and after there is a cluster', async () => {
    // A small file system of its own, in a namespace where anybody may mount one.
    const small = (size: string, rest: string) => [
      ...namespace,
      'sh',
      '-c',
      `mount -t tmpfs -o size=${size} none ${folder} && ${rest} exec "$@"`,
      'sh',
    ];
    expect(await startProgram(small('8m', ''))).toMatchObject({ code: 'DATABASE_DISK_FULL' });
    const fill = `"${process.execPath}" "${path.join(import.meta.dirname, 'fill-cluster.fixture.ts')}" ${folder} &&`;
    expect(await startProgram(small('120m', fill))).toMatchObject({ code: 'DATABASE_DISK_FULL' });
  });

  confined?.('says what to do where root may not make user namespaces', async () => {
    const forbidden = [...namespace, 'sh', '-c', 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"', 'sh'];
    const said = await startProgram(forbidden);
    expect(said).toMatchObject({ code: 'DATABASE_ROOT' });
    expect(said.text).toContain('user namespaces');
  });

  it('leaves no half-made cluster behind an interrupted first start', async () => {
    mkdirSync(path.join(folder, 'data.new', 'base'), { recursive: true });
    writeFileSync(path.join(folder, 'data.new', 'PG_VERSION'), '18\n');
    const server = await start();
    expect(await query(server.url('postgres'), 'select 1 as one')).toEqual([{ one: 1 }]);
    expect(readdirSync(folder).sort()).toEqual(['data', 'password', 'port', 'postgres.log']);
  });
});
