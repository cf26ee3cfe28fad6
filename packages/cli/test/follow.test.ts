import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ADMIN_PASSWORD, ServedApi } from '../../api/test/served-api.ts';
import type { TestWorker } from '../../engine/test/installation.ts';

// Commands that go on until something has happened, or until Ctrl-C: minion pools with --wait, and the logs.

const program = fileURLToPath(new URL('../bin/godwit.js', import.meta.url));

let folder: string;
let api: ServedApi;
let worker: TestWorker;
let environment: NodeJS.ProcessEnv;
const running = new Set<ChildProcess>();

/** A command that runs, with what it has printed so far. */
class Running {
  stdout = '';
  stderr = '';
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;

  constructor(words: string[]) {
    const child = spawn(process.execPath, [program, ...words], { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
    this.child = child;
    child.stdout.on('data', (chunk: Buffer) => {
      this.stdout += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString();
    });
    running.add(child);
    this.ended = once(child, 'close').then(([code]) => {
      running.delete(child);
      return code as number | null;
    });
  }
}

/** Runs a command to its end. */
async function godwit(...words: string[]): Promise<Running & { code: number | null }> {
  const run = new Running(words);
  const code = await run.ended;
  return Object.assign(run, { code });
}

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'gwf-'));
  writeFileSync(path.join(folder, 'api.log'), '');
  writeFileSync(path.join(folder, 'worker.log'), '');
  api = await ServedApi.start({ config: { logFolder: folder } });
  await api.app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = api.app.server.address() as AddressInfo;
  environment = {
    PATH: process.env.PATH ?? '',
    HOME: folder,
    GODWIT_HOME: path.join(folder, 'home'),
    OS_AUTH_URL: `http://127.0.0.1:${port}/identity/v3`,
    OS_USERNAME: 'admin',
    OS_PASSWORD: ADMIN_PASSWORD,
    OS_PROJECT_NAME: 'admin',
    OS_USER_DOMAIN_NAME: 'Default',
    OS_PROJECT_DOMAIN_NAME: 'Default',
  };
  worker = api.installation.worker();
  await worker.ready;
  await api.endpoint(api.admin, 'cloud');
});
afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const pool = (name: string, ...more: string[]) => {
  const words = ['minion', 'pool', 'create', name, '--endpoint-id', 'cloud', '--platform', 'destination'];
  return [...words, '--os-type', 'linux', ...more];
};
const PRINT_STATUS = ['-f', 'value', '-c', 'Pool Status'];

describe('--wait of a minion pool', () => {
  test('tells what happens until it has its machines, and until they are gone', async () => {
    const made = await godwit(...pool('helpers', '--wait', '-f', 'json'));
    expect(made.code, made.stderr).toBe(0);
    const shown = JSON.parse(made.stdout);
    expect(shown).toMatchObject({
      'Pool Status': 'ALLOCATED',
      'Minion Machines': [{ allocation_status: 'AVAILABLE' }],
    });
    expect(made.stderr).toContain("INFO Pool status transitioned from 'ALLOCATING_MACHINES' to 'ALLOCATED'");
    const gone = await godwit('minion', 'pool', 'deallocate', shown.ID, '--wait', ...PRINT_STATUS);
    expect([gone.code, gone.stdout.trim()], gone.stderr).toEqual([0, 'DEALLOCATED']);
    expect(gone.stderr).toContain("to 'DEALLOCATED'");
    // Only what happened since the command was given.
    expect(gone.stderr).not.toContain("to 'ALLOCATED'");
    expect((await godwit('minion', 'pool', 'delete', shown.ID)).code).toBe(0);
  });

  test('ends with 1 and the reason when it cannot be made', async () => {
    const failed = await godwit(...pool('broken', '--environment-options', '{"size": 0}', '--wait', ...PRINT_STATUS));
    expect([failed.code, failed.stdout.trim()], failed.stderr).toEqual([1, 'ERROR']);
    expect(failed.stderr).toMatch(/^ERROR .*a machine of size 0 cannot be made/m);
  });

  test('may be left by Ctrl-C, which says how to look again; the pool goes on', async () => {
    await worker.stopAt({ point: 'POOL:sharing', action: 'pause' });
    const waiting = new Running(pool('slow', '--wait'));
    await api.installation.eventually('it tells what happens', () => waiting.stderr.includes('VALIDATING_INPUTS'));
    waiting.child.kill('SIGINT');
    expect(await waiting.ended).toBe(130);
    expect(waiting.stdout).toBe('');
    const [, id] = /Look at it again: godwit minion pool show (\S+)/.exec(waiting.stderr) ?? [];
    await api.installation.eventually('the pool is being made', () => worker.reached.includes('POOL:sharing'));
    worker.goOn('POOL:sharing');
    await api.installation.untilPool(String(id), 'ALLOCATED');
    const shown = await godwit('minion', 'pool', 'show', String(id), ...PRINT_STATUS);
    expect(shown.stdout.trim()).toBe('ALLOCATED');
  });
});

describe('the logs', () => {
  const log = (name: string, level: string, msg: string) =>
    appendFileSync(
      path.join(folder, `${name}.log`),
      `${JSON.stringify({ level, time: new Date().toISOString(), name, pid: 1, msg })}\n`,
    );

  test('are printed as they come, with the name of each, until Ctrl-C', async () => {
    const following = new Running(['log', 'stream']);
    let count = 0;
    await api.installation.eventually('lines of both arrive', () => {
      count += 1;
      log('api', 'info', `served ${count}`);
      log('worker', 'warn', `tired ${count}`);
      return (
        /^api .*INFO served \d+$/m.test(following.stdout) && /^worker .*WARN\w* tired \d+$/m.test(following.stdout)
      );
    });
    following.child.kill('SIGINT');
    expect([await following.ended, following.stderr]).toEqual([0, '']);
  });

  test('are narrowed to one of them and to what is grave', async () => {
    const following = new Running(['log', 'stream', '--log-name', 'worker', '--severity', 'WARNING']);
    await api.installation.eventually('the error arrives', () => {
      log('api', 'error', 'of the other one');
      log('worker', 'info', 'chatter');
      log('worker', 'error', 'broken');
      return following.stdout.includes('broken');
    });
    expect(following.stdout.split('\n').filter((line) => line !== '' && !/^worker .*ERROR broken$/.test(line))).toEqual(
      [],
    );
    following.child.kill('SIGINT');
    expect(await following.ended).toBe(0);
  });

  test('that are not there, and graveness that nobody knows, are refused', async () => {
    expect(await godwit('log', 'stream', '--severity', 'LOUD')).toMatchObject({ code: 2 });
    const unknown = await godwit('log', 'stream', '--log-name', 'workr');
    expect(unknown.stderr).toContain('ERROR: There is no log "workr". Did you mean "worker"?');
    expect(unknown.code).toBe(1);
  });
});
