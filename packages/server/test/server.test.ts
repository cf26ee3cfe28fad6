import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { getPriority, tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SecretBox } from '@godwit/store';
import { createTestDatabase } from '@godwit/store/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { freePort } from '../../../testbed/free-port.ts';
import { homePaths } from '../src/home.ts';
import { RunningServer } from './running-server.ts';

const servers: RunningServer[] = [];
afterEach(async () => {
  // All first: several may share a home.
  for (const server of servers) server.child.kill('SIGTERM');
  for (const server of servers.splice(0)) await server.clear();
});

async function start(...args: Parameters<typeof RunningServer.start>): Promise<RunningServer> {
  const server = await RunningServer.start(...args);
  servers.push(server);
  return server;
}

function passwordOf(home: string): string {
  return /^export OS_PASSWORD='(.+)'$/m.exec(readFileSync(path.join(home, 'openrc'), 'utf8'))![1]!;
}

async function login(server: RunningServer, password: string): Promise<number> {
  const domain = { name: 'Default' };
  const answer = await fetch(`${server.url}/identity/v3/auth/tokens`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      auth: {
        identity: { methods: ['password'], password: { user: { name: 'admin', password, domain } } },
        scope: { project: { name: 'admin', domain } },
      },
    }),
  });
  await answer.arrayBuffer();
  return answer.status;
}

describe('server all', () => {
  it('starts everything, lets the owner of the home in, and ends without a trace of a process', async () => {
    const server = await start(['all']);
    await server.untilReady();
    expect(await server.status('/readyz')).toBe(200);
    expect(server.output).toContain(`Godwit is ready at ${server.url} (home ${server.home})`);
    for (const file of ['openrc', 'clouds.yaml', 'keys/secrets.json', 'postgres/password']) {
      expect(statSync(path.join(server.home, file)).mode & 0o777).toBe(0o600);
    }
    expect(readFileSync(path.join(server.home, 'openrc'), 'utf8')).toContain(`OS_AUTH_URL='${server.url}/identity/v3'`);
    expect(await login(server, passwordOf(server.home))).toBe(201);
    expect(await login(server, 'wrong')).toBe(401);
    server.child.kill('SIGTERM');
    expect(await server.ended).toBe(0);
    expect(server.processes()).toEqual([]);
    expect(existsSync(path.join(server.home, 'server.lock'))).toBe(false);
    const logged = server.output.split('\n').filter((line) => line !== '' && !line.startsWith('Godwit is ready at '));
    expect(logged.filter((line) => !/^\{"level":".+","time":".+","name":".+"/.test(line))).toEqual([]);
    expect(logged.map((line) => JSON.parse(line).msg)).toContain('the database was brought up to date');
  });

  it('lets its worker stand back from its API when the processors are busy', async () => {
    const server = await start(['all'], { env: { GODWIT_WORKER_NICENESS: '' } });
    await server.untilReady();
    expect(getPriority(server.pid('api'))).toBe(getPriority(server.child.pid));
    expect(getPriority(server.pid('worker'))).toBe(10);
  });

  it('keeps the password of its administrator, and makes a new one when its file is gone', async () => {
    const first = await start(['all']);
    await first.untilReady();
    const password = passwordOf(first.home);
    first.child.kill('SIGINT');
    await first.ended;
    const second = await start(['all'], { home: first.home });
    await second.untilReady();
    expect(passwordOf(first.home)).toBe(password);
    expect(readFileSync(path.join(first.home, 'openrc'), 'utf8')).toContain(second.url);
    second.child.kill('SIGINT');
    await second.ended;
    rmSync(path.join(first.home, 'openrc'));
    const third = await start(['all'], { home: first.home });
    await third.untilReady();
    expect(passwordOf(first.home)).not.toBe(password);
    expect(await login(third, passwordOf(first.home))).toBe(201);
    expect(await login(third, password)).toBe(401);
  });

  it('brings back whatever was killed, and ends all the same afterwards', async () => {
    const server = await start(['all']);
    await server.untilReady();
    for (const role of ['worker', 'api', 'postgres', 'api', 'worker', 'postgres'] as const) {
      // A worker that met no database is started again in a moment.
      let before = server.pid(role);
      for (; before === undefined; before = server.pid(role)) await sleep(50);
      process.kill(before, 'SIGKILL');
      for (let now: number | undefined = before; now === undefined || now === before; now = server.pid(role))
        await sleep(50);
      await server.untilHealthy();
    }
    expect(await login(server, passwordOf(server.home))).toBe(201);
    server.child.kill('SIGINT');
    expect(await server.ended).toBe(0);
    expect(server.processes()).toEqual([]);
  });

  it('that is killed takes everything along, and starts again', async () => {
    const server = await start(['all']);
    await server.untilReady();
    server.child.kill('SIGKILL');
    await server.untilGone();
    expect(existsSync(path.join(server.home, 'server.lock'))).toBe(true);
    const next = await start(['all'], { home: server.home });
    await next.untilReady();
    expect(await login(next, passwordOf(server.home))).toBe(201);
  });

  it('refuses a home that another one uses, and a port that another program uses', async () => {
    const server = await start(['all']);
    await server.untilReady();
    const second = await start(['all'], { home: server.home });
    expect(await second.ended).toBe(2);
    expect(second.output).toContain(`HOME_IN_USE: Another Godwit (pid ${server.child.pid}) already runs with`);
    expect(await server.status('/readyz')).toBe(200);
    const third = await start(['all'], { port: Number(new URL(server.url).port) });
    expect(await third.ended).toBe(2);
    expect(third.output).toContain('LISTEN_IN_USE: Another program already listens on 127.0.0.1:');
    expect(third.processes()).toEqual([]);
    await server.clear();
  });

  it('says which port of the embedded Postgres is taken', async () => {
    const port = await freePort();
    const intruder = createServer().listen(port, '127.0.0.1');
    await once(intruder, 'listening');
    const server = await start(['all'], { env: { GODWIT_PG_PORT: String(port) } });
    expect(await server.ended).toBe(1);
    expect(server.output).toContain(`DATABASE_PORT: Port ${port} for the embedded Postgres is in use`);
    intruder.close();
  });

  it('works with a database of its own, whose password no process shows', async () => {
    await using database = await createTestDatabase({ migrated: false });
    const url = new URL(database.url);
    url.password = 'hunter2';
    const server = await start(['all'], { env: { DATABASE_URL: url.href } });
    await server.untilReady();
    expect(existsSync(path.join(server.home, 'postgres'))).toBe(false);
    const children = server.processes().filter(({ pid }) => pid !== server.child.pid);
    expect(children.map(({ command }) => / main\.ts? ?/.test(command) || command.includes('main.ts'))).toEqual([
      true,
      true,
    ]);
    for (const { command, environment } of children) {
      expect(command).not.toContain('hunter2');
      expect(environment).not.toContain('hunter2');
    }
    expect(server.output).not.toContain('hunter2');
    expect(await login(server, passwordOf(server.home))).toBe(201);
    await server.clear();
  });
});

describe('the parts alone', () => {
  it('use the Postgres of the home that runs, and end when asked', async () => {
    const all = await start(['all']);
    await all.untilReady();
    const worker = await start(['worker', '--region', 'north'], { home: all.home });
    while (!worker.output.includes('worker takes work')) {
      expect(worker.child.exitCode).toBeNull();
      await sleep(50);
    }
    worker.child.kill('SIGTERM');
    expect(await worker.ended).toBe(0);
    const rotate = await start(['db', 'rotate-secrets'], { home: all.home });
    expect(await rotate.ended).toBe(0);
    expect(await login(all, passwordOf(all.home))).toBe(201);
    await all.clear();
  });

  it('end when they have other keys than those with which the database was sealed', async () => {
    await using database = await createTestDatabase({ migrated: false });
    const env = { DATABASE_URL: database.url };
    const all = await start(['all'], { env });
    await all.untilReady();
    const secrets = SecretBox.load(homePaths(all.home).secretKeys);
    const place = { table: 'setting', id: 'of the first' } as const;
    await database.db
      .insertInto('setting')
      .values({ key: place.id, sealed: secrets.seal(place, 'sealed') })
      .execute();
    await using other = await createTestDatabase({ migrated: false });
    const migration = await start(['db', 'migrate'], { env: { DATABASE_URL: other.url } });
    expect(await migration.ended).toBe(0);
    for (const words of [['worker'], ['api']]) {
      const stranger = await start(words, { home: migration.home, env });
      expect(await stranger.ended).not.toBe(0);
      expect(stranger.output).toContain('SECRET_KEY_MISSING');
      expect(stranger.output).not.toContain('worker takes work');
    }
    await all.clear();
  });

  it('end when a newer Godwit has migrated the database, and name what they do not know', async () => {
    await using database = await createTestDatabase({ migrated: false });
    const env = { DATABASE_URL: database.url };
    const migration = await start(['db', 'migrate'], { env });
    expect(await migration.ended).toBe(0);
    await database.pool.query("insert into kysely_migration (name, timestamp) values ('9999-later', '2030-01-01')");
    for (const words of [['worker'], ['api']]) {
      const older = await start(words, { home: migration.home, env });
      expect(await older.ended).toBe(1);
      expect(older.output).toContain('DATABASE_NEWER');
      expect(older.output).toContain('9999-later');
    }
  });

  it('say what is missing when there is no database', async () => {
    for (const words of [['api'], ['worker'], ['server', 'api'], ['db', 'migrate']]) {
      const part = await start(words);
      expect(await part.ended).toBe(2);
      expect(part.output).toContain('DATABASE_URL is wrong: it is not set');
    }
  });
});

describe('the command line', () => {
  it('answers wrong words with exit code 2 and help with 0', () => {
    const home = mkdtempSync(path.join(tmpdir(), 'gws-'));
    const run = (...words: string[]) =>
      spawnSync(process.execPath, [path.join(import.meta.dirname, '../src/main.ts'), ...words], {
        encoding: 'utf8',
        env: { ...process.env, GODWIT_HOME: home },
      });
    for (const words of [[], ['frob'], ['all', '--frob'], ['api', '--region', 'x'], ['worker', '--region']]) {
      const { status, stderr, stdout } = run(...words);
      expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
      expect(stderr).toMatch(/^ERROR: .*\nUsage: /);
    }
    const help = run('all', '--help');
    expect(help.status).toBe(0);
    expect(help.stdout).toContain('GODWIT_LISTEN');
    rmSync(home, { recursive: true });
  });
});
