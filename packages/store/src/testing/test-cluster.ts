// A program of its own: keeps one throw-away Postgres for all test processes of a checkout that run at the same time.
// It ends by itself, and leaves nothing, a moment after the last of them has gone, however they went.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { GodwitError } from '@godwit/domain';
import { type EmbeddedPostgres, startPostgres } from '../embedded-postgres.ts';
import { clusterSocket, type Greeting } from './test-database.ts';

/** Milliseconds without any test process until it ends; the next test file's process comes sooner. */
const GRACE = 1_500;
const PREFIX = 'gwpg-';

let users = 0;
let idle: NodeJS.Timeout | undefined;
let postgres: EmbeddedPostgres | undefined;
let folder = '';

const started = Promise.withResolvers<Greeting>();
const server = createServer((socket) => {
  users++;
  clearTimeout(idle);
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    users--;
    if (users === 0) idle = setTimeout(end, GRACE);
  });
  socket.resume();
  void started.promise.then((greeting) => socket.write(`${JSON.stringify(greeting)}\n`));
});
// The name is taken: another keeper serves, and whoever started this one finds it.
server.once('error', () => process.exit(0));
server.listen(clusterSocket(), () => void begin());

async function begin(): Promise<void> {
  removeAbandoned();
  idle = setTimeout(end, 10_000);
  folder = mkdtempSync(path.join(tmpdir(), `${PREFIX}${process.pid}-`));
  try {
    postgres = await startPostgres(folder, { volatile: true, settings: ['max_connections=400'] });
    started.resolve({ url: postgres.url('') });
    await postgres.exited;
    end();
  } catch (error) {
    started.resolve({ error: GodwitError.wrap(error, 'DATABASE_START', folder).explain() });
  }
}

function end(): void {
  server.close();
  // Nothing in it is wanted any more: no need for a shutdown in good order.
  if (postgres !== undefined) kill(postgres.pid);
  const removed = postgres === undefined ? Promise.resolve('') : postgres.exited;
  void removed.then(() => {
    rmSync(folder, { recursive: true, force: true, maxRetries: 20 });
    process.exit(0);
  });
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGQUIT');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** Folders of keepers that were killed. */
function removeAbandoned(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = name.startsWith(PREFIX) ? Number.parseInt(name.slice(PREFIX.length), 10) : Number.NaN;
    if (Number.isInteger(pid) && !alive(pid)) rmSync(path.join(tmpdir(), name), { recursive: true, force: true });
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
