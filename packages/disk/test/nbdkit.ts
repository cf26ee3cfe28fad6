import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NbdAddress } from '../src/index.ts';

/** A folder of its own for one test; a short path, for sockets live in it. */
export async function scratch(): Promise<{ path: string; [Symbol.asyncDispose](): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'gd-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

export interface Nbdkit {
  address: NbdAddress;
  pid: number;
  /** SIGKILL, as a crash would. */
  kill(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts nbdkit on a unix socket in `folder`, or on TCP when a port is given. Ends with the test process. */
export async function nbdkit(folder: string, args: string[], port?: number, socketName = 'k'): Promise<Nbdkit> {
  const socket = join(folder, socketName);
  const pidFile = join(folder, `pid-${Math.random().toString(36).slice(2)}`);
  await rm(socket, { force: true });
  const where = port === undefined ? ['-U', socket] : ['-i', '127.0.0.1', '-p', String(port)];
  const child = spawn('nbdkit', ['-f', '--exit-with-parent', ...where, '-P', pidFile, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const ended = endOf(child);
  let running = true;
  void ended.then(() => {
    running = false;
  });
  while (!existsSync(pidFile)) {
    if (!running) throw new Error(`nbdkit did not start: ${stderr}`);
    await sleep(5);
  }
  const kill = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  /** Politely first, for then it removes its scratch files; a request held back by the delay filter would keep it. */
  const stop = async () => {
    child.kill('SIGTERM');
    await Promise.race([ended, sleep(1_000, undefined, { ref: false })]);
    await kill();
  };
  return {
    address: {
      kind: 'nbd',
      transport: port === undefined ? { unix: socket } : { host: '127.0.0.1', port },
      export: '',
      readOnly: false,
    },
    pid: child.pid ?? 0,
    kill,
    [Symbol.asyncDispose]: stop,
  };
}

/** Resolves when the process has ended. */
export function endOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
}
