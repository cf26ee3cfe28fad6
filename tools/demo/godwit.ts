import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../testbed/free-port.ts';
import type { Undo } from './undo.ts';

const repository = path.join(import.meta.dirname, '../..');
const cli = path.join(repository, 'packages/cli/bin/godwit.js');

/** A running Godwit of the demo's own, driven by its command line as an operator drives it. */
export interface Godwit {
  readonly home: string;
  readonly listen: string;
  /** Runs a command, shown with its output. Rejects when it fails. */
  show(...args: string[]): Promise<void>;
  /** Runs a command and gives what it prints, unseen. */
  ask(...args: string[]): Promise<string>;
  /** The same, as the objects that `-f json` prints. */
  list<T>(...args: string[]): Promise<T>;
}

/**
 * Starts the server in `folder` on a free port and waits until it is ready. Whatever was started ends with `undo`, and with
 * this process, however that ends.
 */
export async function startGodwit(folder: string, undo: Undo): Promise<Godwit> {
  const home = path.join(folder, 'home');
  mkdirSync(home, { mode: 0o700 });
  const listen = `127.0.0.1:${await freePort()}`;
  const env = { ...process.env, GODWIT_HOME: home, GODWIT_LISTEN: listen, DATABASE_URL: '' };
  const logFile = path.join(folder, 'server.log');
  const log = createWriteStream(logFile);
  const program = [process.execPath, path.join(repository, 'packages/server/src/main.ts'), 'all'];
  // The kernel asks the server to stop when the demo is killed and cannot.
  const server = spawn('setpriv', ['--pdeathsig', 'INT', '--', ...program], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // Ctrl-C is for the demo, which stops the server in order
  });
  const commands = new Set<ChildProcess>();
  undo.push(async () => {
    for (const child of commands) child.kill('SIGKILL');
    await stopChild(server);
  });
  server.stdout.pipe(log, { end: false });
  server.stderr.pipe(log, { end: false });
  for (const end = Date.now() + 60_000; ; await sleep(100)) {
    if (server.exitCode !== null || server.signalCode !== null || Date.now() > end) {
      server.kill('SIGKILL');
      throw new Error(`Godwit did not start:\n${readFileSync(logFile, 'utf8').slice(-2000)}`);
    }
    const ready = await fetch(`http://${listen}/readyz`).then(
      (answer) => answer.status === 200,
      () => false,
    );
    if (ready) break;
  }
  const run = async (args: string[], visible: boolean): Promise<string> => {
    if (visible) console.log(`\n$ godwit ${args.map(quote).join(' ')}`);
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', process.execPath, cli, ...args], {
      env,
      stdio: ['ignore', visible ? 'inherit' : 'pipe', visible ? 'inherit' : 'pipe'],
    });
    commands.add(child);
    let out = '';
    let complaint = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      out += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaint += text;
    });
    const [code] = (await once(child, 'close')) as [number | null];
    commands.delete(child);
    if (code !== 0) throw new Error(`godwit ${args.join(' ')} ended with ${code}. ${complaint.trim()}`);
    return out;
  };
  return {
    home,
    listen,
    show: async (...args) => {
      await run(args, true);
    },
    ask: async (...args) => (await run(args, false)).trim(),
    list: async <T>(...args: string[]) => JSON.parse(await run([...args, '-f', 'json'], false)) as T,
  };
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGINT');
  await Promise.race([ended, sleep(20_000, undefined, { ref: false })]);
  child.kill('SIGKILL');
}

function quote(arg: string): string {
  return /^[\w./:=@,+-]+$/.test(arg) ? arg : `'${arg}'`;
}
