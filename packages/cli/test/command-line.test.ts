import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Application, CommandContext } from '@stricli/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { aboutTransfer, describeFailure } from '../src/failure.ts';

const program = fileURLToPath(new URL('../bin/godwit.js', import.meta.url));

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'godwit-cli-'));
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

interface Run {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs the real program with nothing of this machine's configuration. */
function godwit(
  args: string[],
  options: { env?: Record<string, string>; input?: string; node?: string } = {},
): Promise<Run> {
  const env = { PATH: process.env.PATH ?? '', HOME: folder, GODWIT_HOME: join(folder, 'home'), ...options.env };
  return new Promise((resolve) => {
    const child = execFile(options.node ?? process.execPath, [program, ...args], { env }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : 1, stdout, stderr });
    });
    child.stdin?.end(options.input ?? '');
  });
}

test('what refuses since an execution is active says how to be rid of it', async () => {
  const refusal = Object.assign(new Error("Another tasks execution is in progress: ['e-17']"), {
    name: 'ApiError',
    status: 400,
    remedy: 'Correct the request and send it again.',
    requestId: '',
  });
  expect(describeFailure(refusal, false).split('\n')).toEqual([
    "ERROR: Another tasks execution is in progress: ['e-17'] (HTTP 400)",
    'Wait until it has ended, or cancel it: godwit transfer execution cancel TRANSFER e-17 --wait',
  ]);
});

test.each([
  ['/transfers/t-1', undefined],
  ['/transfers/t-1/executions', {}],
  ['/deployments', { deployment: { transfer_id: 't-1' } }],
])('what to do next names the transfer that was asked about: %s', (path, body) => {
  const next = (message: string) => {
    const error = Object.assign(new Error(message), { name: 'ApiError', status: 400, remedy: '', requestId: '' });
    return describeFailure(aboutTransfer(error, path, body), false).split('\n')[1];
  };
  expect(next("Another tasks execution is in progress: ['e-17']")).toBe(
    'Wait until it has ended, or cancel it: godwit transfer execution cancel t-1 e-17 --wait',
  );
  expect(next("Execution with ID 'e-2' for Transfer 't-1' not found.")).toBe(
    'See "godwit transfer execution list t-1".',
  );
});

test.each([
  ["NotFound: Transfer with ID 't-1' not found.", 'See "godwit transfer list".'],
  ["Deployment with ID 'd-1' not found.", 'See "godwit deployment list".'],
])('what is not found names the command that lists what is: %s', (message, hint) => {
  const error = Object.assign(new Error(message), { name: 'ApiError', status: 404, remedy: 'Look.', requestId: '' });
  expect(describeFailure(error, false).split('\n')[1]).toBe(hint);
});

test('an error shows control characters of what others wrote, and obeys none', () => {
  expect(describeFailure(new Error('VM we\x1b]0;root\x07b is not there'), false)).toBe(
    'ERROR: VM we\\x1b]0;root\\x07b is not there',
  );
});

describe('a wrong command line ends with 2 and says what was probably meant', () => {
  test.each([
    [['endpont', 'list'], 'Did you mean "endpoint"?'],
    [['endpoint', 'lst'], 'Did you mean "list"?'],
    [['endpoint', 'list', '--formt', 'json'], 'Did you mean "--format"?'],
    [['transfer', 'create', '--orgin-endpoint', 'a'], 'Did you mean "--origin-endpoint"?'],
    [['region', 'create', '--name', 'a'], 'Unknown option --name.\nTry'],
    [['transfer', 'create', '--network', 'a'], 'Did you mean "--network-map"?'],
    [['endpoint', 'list', '-f', 'jsn'], 'did you mean "json"?'],
    [['endpoint', 'list', '--os-clod', 'lab'], 'Did you mean "--os-cloud"?'],
    [['endpoint', 'create', '--name', 'lab'], '--provider'],
    [['user', 'create', 'mona'], 'No password: give it with --password-file'],
    [['endpoint', 'show'], 'ENDPOINT'],
    [['endpoint', 'show', 'a', 'b'], 'Too many arguments'],
    [['transfer', 'list', '--sort', 'id:up'], 'use asc or desc'],
    [['transfer', 'list', '--limit', '-3'], '--limit'],
    [['endpoint', 'list', '-fjsn'], 'did you mean "json"?'],
    [['transfer', 'show', ''], 'TRANSFER: an id is expected, this is empty'],
    [['transfer', 'delete', '../endpoints/4a7f'], 'TRANSFER: "../endpoints/4a7f" is not an id'],
    [['transfer', 'execution', 'delete', '2c9e', '.'], 'EXECUTION: "." is not an id'],
    [['transfer', 'schedule', 'delete', '2c9e', '?'], 'SCHEDULE: "?" is not an id'],
    [['deployment', 'delete', '..'], 'DEPLOYMENT: ".." is not an id'],
    [['service', 'delete', '../regions/4a7f'], 'SERVICE: "../regions/4a7f" is not an id'],
    [['minion', 'pool', 'delete', ''], 'POOL: an id is expected'],
    [['webhook', 'delivery', 'retry', 'pager', '../x'], 'DELIVERY: "../x" is not an id'],
    [['transfer', 'create', '--origin-endpoint', 'a', '--destination-endpoint', 'b'], '--instance'],
    [['endpoint', 'list', '--os-cloud', 'nowhere'], 'there is no clouds.yaml'],
    [['endpoint', 'list', '--os-password', 'x'], 'OS_PASSWORD'],
    // Before anything is done: nobody has signed in yet.
    [['endpoint', 'create', '--name', 'a', '--provider', 'image', '--connection', '{}', '-c', 'nme'], '"name"'],
    [['endpoint', 'update', 'a', '--name', 'b', '-c', 'nme'], '"name"'],
    [['endpoint', 'limits', 'set', 'a', '--rate-limit', 'none', '-c', 'rate'], 'no column "rate"'],
    [['region', 'create', 'a', '-c', 'nme'], '"Name"'],
    [['region', 'update', 'a', '--disabled', '-c', 'nme'], '"Name"'],
    [['service', 'update', 'a', '--disabled', '-c', 'hst'], '"Host"'],
    [['transfer', 'update', 'a', '--notes', 'b', '-c', 'sttus'], '"status"'],
    [['transfer', 'execute', 'a', '-c', 'sttus'], '"status"'],
    [['transfer', 'disks', 'delete', 'a', '-c', 'sttus'], '"status"'],
    [['transfer', 'execution', 'show', 'a', 'b', '--wait', '-c', 'sttus'], '"status"'],
    [['deployment', 'create', 'a', '-c', 'sttus'], '"status"'],
    [['provider', 'schema', 'list', 'libvirt', 'conection'], 'Did you mean "connection"?'],
  ])('%j', async (args, said) => {
    const run = await godwit(args);
    expect(run.stderr).toContain(said);
    expect(run.stderr).toMatch(/^ERROR: /);
    expect(run.stdout).toBe('');
    expect(run.code).toBe(2);
  });
});

describe('JSON options', () => {
  test('are refused when they are not JSON objects, without repeating what may be a secret', async () => {
    const run = await godwit([
      'endpoint',
      'create',
      '--name',
      'a',
      '--provider',
      'b',
      '--connection',
      '{"password": hunter2}',
    ]);
    expect(run.code).toBe(2);
    expect(run.stderr).toContain('--connection is not valid JSON');
    expect(run.stderr).not.toContain('hunter2');
  });

  test('are read from standard input', async () => {
    const args = ['endpoint', 'create', '--name', 'a', '--provider', 'b', '--connection-file', '-'];
    expect((await godwit(args, { input: '[1]' })).stderr).toContain('standard input must be a JSON object');
    expect((await godwit(args, { input: '{"path": "/images"}' })).stderr).toContain('Nothing says where to sign in');
  });

  test('exclude their file twins', async () => {
    const run = await godwit(['transfer', 'update', 'x', '--network-map', '{}', '--network-map-file', 'f']);
    expect(run).toMatchObject({ code: 2 });
    expect(run.stderr).toContain('exclude each other');
  });

  test('that hold a secret draw a warning and the safe way', async () => {
    const args = [
      'endpoint',
      'create',
      '--name',
      'a',
      '--provider',
      'b',
      '--connection',
      '{"auth": {"password": "x"}}',
    ];
    const run = await godwit(args);
    expect(run.stderr).toMatch(/^WARNING: .*auth\.password.*process list.*--connection-file/);
  });
});

describe('help', () => {
  test('names every noun', async () => {
    const run = await godwit(['--help']);
    expect(run.code).toBe(0);
    for (const noun of ['provider', 'endpoint', 'transfer', 'deployment', 'region', 'service', 'verify', 'server']) {
      expect(run.stdout).toContain(`  ${noun} `);
    }
  });

  test('gives examples for every command', async () => {
    const { buildGodwit } = await import('../src/app.ts');
    const { nounNames } = await import('../src/nouns.ts');
    const { generateHelpTextForAllCommands } = await import('@stricli/core');
    const own = nounNames.filter((noun) => !['verify', 'server', 'db', 'complete'].includes(noun));
    for (const noun of own) {
      const texts = generateHelpTextForAllCommands(
        (await buildGodwit(noun, '0', false)) as unknown as Application<CommandContext>,
      );
      const commands = texts.filter(([route]) => route.startsWith(`godwit ${noun} `));
      expect(commands.length).toBeGreaterThan(0);
      for (const [route, text] of commands) expect(text, route).toContain(`EXAMPLES\n  `);
    }
  });

  test('may be asked for as a command', async () => {
    const run = await godwit(['help', 'transfer', 'execute']);
    expect(run.code).toBe(0);
    expect(run.stdout).toContain('--shutdown-instances');
  });

  test('has no colours when it is not read on a terminal', async () => {
    expect((await godwit(['endpoint', 'create', '--help'])).stdout).not.toContain('\x1b');
  });
});

describe('a server that cannot be reached', () => {
  test('is an error that names the address and the remedy', async () => {
    const env = {
      OS_AUTH_URL: 'http://127.0.0.1:9/identity/v3',
      OS_USERNAME: 'u',
      OS_PASSWORD: 'p',
      OS_PROJECT_NAME: 'p',
    };
    const run = await godwit(['endpoint', 'list'], { env });
    expect(run.code).toBe(1);
    expect(run.stderr).toContain('ERROR: http://127.0.0.1:9/identity/v3/auth/tokens does not answer. ');
    expect(run.stderr).toContain('Check that the server runs.');
  });

  test('is not asked for a password where nobody can type one', async () => {
    const env = { OS_AUTH_URL: 'http://127.0.0.1:9/identity/v3', OS_USERNAME: 'u' };
    const run = await godwit(['endpoint', 'list'], { env });
    expect(run).toMatchObject({ code: 2 });
    expect(run.stderr).toContain('OS_PASSWORD');
  });
});

describe('completion', () => {
  test('proposes nouns, verbs and options', async () => {
    const propose = async (line: string) => {
      const words = line.trim().split(' ');
      return (await godwit(['complete', 'propose', ...words], { env: { COMP_LINE: line } })).stdout.split('\n');
    };
    expect(await propose('godwit endp')).toContain('endpoint');
    expect(await propose('godwit endpoint sh')).toContain('show');
    expect(await propose('godwit endpoint ')).toContain('list');
    expect(await propose('godwit endpoint list --for')).toContain('--format');
  });

  test('is installed into and removed from .bashrc', async () => {
    writeFileSync(join(folder, '.bashrc'), '# mine\n');
    const env = { SHELL: '/bin/bash' };
    expect((await godwit(['complete', 'install'], { env })).code).toBe(0);
    const { readFileSync } = await import('node:fs');
    expect(readFileSync(join(folder, '.bashrc'), 'utf8')).toContain('godwit complete propose');
    expect((await godwit(['complete', 'uninstall'], { env })).code).toBe(0);
    expect(readFileSync(join(folder, '.bashrc'), 'utf8')).toContain('# mine');
    expect(readFileSync(join(folder, '.bashrc'), 'utf8')).not.toContain('godwit');
  });
});

test('the version is printed', async () => {
  expect((await godwit(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

test('a reader that goes away is no error', async () => {
  const { execFileSync } = await import('node:child_process');
  const text = execFileSync('sh', ['-c', `"$0" "$1" --help | head -1`, process.execPath, program], {
    env: { PATH: process.env.PATH, HOME: folder },
    encoding: 'utf8',
  });
  expect(text).toBe('USAGE\n');
});
