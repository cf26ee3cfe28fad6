import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Installation } from '../../../testbed/spine/installation.ts';
import { RunningServer } from '../../server/test/running-server.ts';

// `godwit db backup` and `godwit db restore` as an operator types them, beside a server that runs and where none does.

const program = fileURLToPath(new URL('../bin/godwit.js', import.meta.url));

let folder: string;
let server: Installation;
let file: string;

interface Run {
  code: number;
  stdout: string;
  stderr: string;
}

function godwit(home: string, ...words: string[]): Promise<Run> {
  const env = { PATH: process.env.PATH ?? '', HOME: folder, GODWIT_HOME: home };
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...words], { env }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : 1, stdout, stderr });
    });
  });
}

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'gwb-'));
  file = path.join(folder, 'backup');
  server = await Installation.start();
  await server.endpoint('lab', 'image', { path: folder });
});
afterAll(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

test('a backup is taken while the server runs, says which keys belong to it, and replaces nothing unasked', async () => {
  const taken = await godwit(server.home, 'db', 'backup', file);
  expect(taken.code, taken.stderr).toBe(0);
  expect(taken.stderr).toMatch(/backup: \d+ rows, as they were at /);
  expect(taken.stderr).toContain('keep a copy of');
  const before = readFileSync(file);
  const again = await godwit(server.home, 'db', 'backup', file);
  expect(again.code).toBe(1);
  expect(again.stderr).toMatch(/^ERROR: .*--force/ms);
  expect(readFileSync(file)).toEqual(before);
  expect((await godwit(server.home, 'db', 'backup', file, '--force')).code).toBe(0);
});

test('a backup that cannot be written says so and what to do, and leaves nothing', async () => {
  const refused = await godwit(server.home, 'db', 'backup', path.join(folder, 'missing', 'backup'));
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(/^ERROR: BACKUP_WRITE: .*ENOENT.*name a file in a folder/m);
  expect(existsSync(path.join(folder, 'missing'))).toBe(false);
  const onFolder = await godwit(server.home, 'db', 'backup', folder, '--force');
  expect(onFolder.stderr).toMatch(/^ERROR: BACKUP_WRITE: /m);
  expect(existsSync(`${folder}.part`)).toBe(false);
});

test.each([
  [['db', 'backup', 'x', '--with-key'], 'unknown option --with-key; "db backup" has --with-keys, --force'],
  [['db', 'restore', 'x', '--dryrun'], 'unknown option --dryrun; "db restore" has --dry-run, --force, --as-is'],
  [['db', 'restor', 'x'], 'unknown command "db restor"'],
  [['db', 'backup'], 'it takes one file name'],
  [['db', 'restore', 'x', 'y'], 'it takes one file name'],
])('%j is refused with 2 and does nothing', async (words, said) => {
  const run = await godwit(path.join(folder, 'nowhere'), ...words);
  expect(run.stderr).toContain(said);
  expect(run.code).toBe(2);
  expect(existsSync(path.join(folder, 'nowhere', 'postgres'))).toBe(false);
});

test('a restore is refused beside a server that runs, and without the key of its secrets', async () => {
  const running = await godwit(server.home, 'db', 'restore', file, '--force');
  expect([running.code, running.stderr]).toEqual([1, expect.stringMatching(/ERROR: .*in use/)]);
  const other = path.join(folder, 'keyless');
  const keyless = await godwit(other, 'db', 'restore', file);
  expect([keyless.code, keyless.stderr]).toEqual([1, expect.stringMatching(/ERROR: .*key/)]);
  const nothing = await godwit(other, 'db', 'restore', path.join(folder, 'none'));
  expect([nothing.code, nothing.stderr]).toEqual([1, expect.stringContaining('none')]);
}, 300_000);

test('a restore into an empty home is tried without effect, done, not done twice, and served', async () => {
  const home = path.join(folder, 'h');
  cpSync(path.join(server.home, 'keys'), path.join(home, 'keys'), { recursive: true });
  for (let n = 0; n < 2; n += 1) {
    const tried = await godwit(home, 'db', 'restore', file, '--dry-run');
    expect(tried.code, tried.stderr).toBe(0);
    expect(tried.stderr).toContain('Nothing was changed (--dry-run).');
  }
  const done = await godwit(home, 'db', 'restore', file);
  expect(done.code, done.stderr).toBe(0);
  expect(done.stderr).toMatch(/\d+ rows are back\./);
  const twice = await godwit(home, 'db', 'restore', file);
  expect([twice.code, twice.stderr]).toEqual([1, expect.stringContaining('--force')]);
  const restored = await RunningServer.start(['all'], { home });
  try {
    await restored.untilReady();
    await restored.untilHealthy();
    const list = await godwit(home, 'endpoint', 'list', '-f', 'value', '-c', 'Name');
    expect(list.stdout.trim(), list.stderr).toBe('lab');
  } finally {
    await restored.clear();
  }
}, 300_000);
