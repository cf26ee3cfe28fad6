import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GodwitError } from '@godwit/domain';
import { chooseLaunch, type Launch, POSTGRES_MAJOR, postgresFolder } from './postgres-program.ts';
import { RotatingLog } from './rotating-log.ts';

export interface PostgresOptions {
  /** A port that must be used. Default: the one used last, else a random free one. */
  port?: number;
  /** For tests: nothing is forced to disk, no password. Default false. */
  volatile?: boolean;
  /** More server settings, `name=value`. */
  settings?: string[];
  /** Milliseconds for the start, recovery after a crash included. Default 60,000. */
  timeoutMs?: number;
}

export interface EmbeddedPostgres {
  /** Pid of the postmaster. */
  readonly pid: number;
  readonly port: number;
  /** Resolves when it has ended, whoever ended it; the last words of its log. */
  readonly exited: Promise<string>;
  /** Connection URL of a database; holds the password. */
  url(database: string): string;
  /** Fast shutdown: sessions are cut, everything is on disk. Killed after 10 s. Idempotent. */
  stop(): Promise<void>;
}

const USER = 'postgres';
const HOST = '127.0.0.1';
/** Below the range that kernels hand out for outgoing connections, so that a remembered port stays free. */
const PORTS = { from: 20_000, to: 32_000 };

/** What the server is told. Small: it serves one Godwit, on a machine that copies disks. */
const SETTINGS = [
  `listen_addresses=${HOST}`,
  'unix_socket_directories=',
  'max_connections=120',
  'shared_buffers=64MB',
  // Little to replay after a crash: it is back within seconds.
  'max_wal_size=256MB',
  'checkpoint_timeout=2min',
  'huge_pages=off',
  'jit=off',
  'io_workers=1',
  'timezone=UTC',
  'log_timezone=UTC',
  'log_line_prefix=%m [%p] ',
  'log_checkpoints=off',
  // Leaf tables are rewritten all day: dead rows must go within seconds, not minutes.
  'autovacuum_naptime=5s',
];
const VOLATILE = [
  'fsync=off',
  'synchronous_commit=off',
  'full_page_writes=off',
  'shared_buffers=32MB',
  'wal_level=minimal',
  'max_wal_senders=0',
];

/**
 * Starts the Postgres of a folder, making the cluster when there is none. One caller per folder at a time: the supervisor
 * holds the lock of GODWIT_HOME. A server that a killed parent left behind is waited for or ended first.
 *
 * In the folder: `data/` (the cluster), `port`, `password` (0600), `postgres.log` (rotated).
 *
 * @throws GodwitError DATABASE_VERSION, DATABASE_PORT, DATABASE_DISK_FULL, DATABASE_ROOT, DATABASE_START
 */
export async function startPostgres(folder: string, options: PostgresOptions = {}): Promise<EmbeddedPostgres> {
  const bin = postgresFolder(folder);
  const launch = chooseLaunch(folder);
  const data = path.join(folder, 'data');
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    checkVersion(data);
    if (!existsSync(path.join(data, 'PG_VERSION'))) initialize(folder, bin, launch, options.volatile === true);
  } catch (error) {
    throw diskFull(error) ? new GodwitError('DATABASE_DISK_FULL', folder, {}, { cause: error }) : error;
  }
  await endLeftover(data);
  // It may have been made while this machine allowed another way of running it.
  launch.give(data);
  // Postgres refuses a folder that others may read, which is what a restored copy often is.
  chmodSync(data, 0o700);

  const deadline = Date.now() + (options.timeoutMs ?? 60_000);
  let port = options.port ?? rememberedPort(folder) ?? (await freePort());
  for (;;) {
    const attempt = await startOnce(folder, bin, launch, port, options, deadline);
    if ('server' in attempt) {
      if (options.port === undefined) writeFileSync(path.join(folder, 'port'), `${port}\n`, { mode: 0o600 });
      return attempt.server;
    }
    const words = attempt.log;
    if (/could not bind|Address already in use/.test(words)) {
      if (options.port !== undefined) throw new GodwitError('DATABASE_PORT', folder, { port });
      port = await freePort();
    } else if (/No space left on device|Disk quota exceeded/.test(words)) {
      throw new GodwitError('DATABASE_DISK_FULL', folder);
    } else if (/incompatible with server/.test(words)) {
      throw versionError(data);
    } else if (/is still in use|lock file .* already exists/.test(words) && Date.now() < deadline) {
      // The children of a killed server end when they notice; until then its memory is in use.
      await endLeftover(data);
      await sleep(100);
    } else {
      throw new GodwitError('DATABASE_START', folder, { reason: lastWords(words) });
    }
  }
}

/**
 * URL of the Postgres of a folder that another process started, or undefined when none has run there yet. Whether it
 * answers is for the caller to find out.
 */
export function embeddedUrl(folder: string, database: string): string | undefined {
  const port = rememberedPort(folder);
  return port === undefined ? undefined : urlOf(folder, port, database);
}

function urlOf(folder: string, port: number, database: string): string {
  const file = path.join(folder, 'password');
  const password = existsSync(file) ? `:${readFileSync(file, 'utf8').trim()}` : '';
  return `postgres://${USER}${password}@${HOST}:${port}/${database}`;
}

function checkVersion(data: string): void {
  const file = path.join(data, 'PG_VERSION');
  if (existsSync(file) && readFileSync(file, 'utf8').trim() !== POSTGRES_MAJOR) throw versionError(data);
}

function versionError(data: string): GodwitError {
  const found = readFileSync(path.join(data, 'PG_VERSION'), 'utf8').trim();
  return new GodwitError('DATABASE_VERSION', data, { found, needed: POSTGRES_MAJOR });
}

/** Makes the cluster beside its place and moves it there, so that a crash in between leaves no half of one. */
function initialize(folder: string, bin: string, launch: Launch, volatile: boolean): void {
  const draft = path.join(folder, 'data.new');
  const passwordFile = path.join(folder, 'password');
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { mode: 0o700 });
  launch.give(draft);
  const args = [
    '-D',
    draft,
    '-U',
    USER,
    '-E',
    'UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--no-instructions',
  ];
  if (volatile) args.push('-A', 'trust', '--no-sync');
  else {
    writeFileSync(passwordFile, `${randomBytes(24).toString('hex')}\n`, { mode: 0o600 });
    args.push('-A', 'scram-sha-256', `--pwfile=${passwordFile}`);
  }
  const [command, words] = launch.command(path.join(bin, 'initdb'), args, false);
  const run = spawnSync(command, words, { encoding: 'utf8', env: environment() });
  if (run.status !== 0) {
    rmSync(draft, { recursive: true, force: true });
    const said = `${run.stderr ?? ''}${run.error?.message ?? ''}`;
    if (diskFull(new Error(said))) throw new GodwitError('DATABASE_DISK_FULL', folder);
    throw new GodwitError('DATABASE_START', folder, { reason: lastWords(said) });
  }
  renameSync(draft, path.join(folder, 'data'));
}

/** Postgres needs little, and inherits no secret: just a path and English messages. */
function environment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
}

type Attempt = { server: EmbeddedPostgres } | { log: string };

async function startOnce(
  folder: string,
  bin: string,
  launch: Launch,
  port: number,
  options: PostgresOptions,
  deadline: number,
): Promise<Attempt> {
  const settings = [...SETTINGS, ...(options.volatile ? VOLATILE : []), ...(options.settings ?? [])];
  const args = ['-D', path.join(folder, 'data'), '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])];
  const [command, words] = launch.command(path.join(bin, 'postgres'), args, true);
  const child = spawn(command, words, { stdio: ['ignore', 'ignore', 'pipe'], env: environment() });
  const log = new RotatingLog(path.join(folder, 'postgres.log'));
  let tail = '';
  let onReady: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => {
    onReady = resolve;
  });
  child.stderr.on('data', (chunk: Buffer) => {
    log.write(chunk);
    tail = (tail + chunk.toString('utf8')).slice(-8192);
    if (tail.includes('ready to accept connections')) onReady();
  });
  const exited = new Promise<string>((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('close', () => {
      log.close();
      resolve(tail);
    });
  });
  const first = await Promise.race([
    ready.then(() => 'ready' as const),
    exited.then(() => 'exited' as const),
    sleep(Math.max(1, deadline - Date.now()), 'late' as const, { ref: false }),
  ]);
  if (first === 'exited') return { log: tail === '' ? await exited : tail };
  const stop = () => endChild(child, exited);
  if (first === 'late') {
    await stop();
    return { log: `${tail}\nit was not ready in time` };
  }
  return {
    server: { pid: child.pid!, port, exited, url: (database) => urlOf(folder, port, database), stop },
  };
}

async function endChild(child: ChildProcess, exited: Promise<string>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGINT');
  const ended = await Promise.race([exited.then(() => true), sleep(10_000, false, { ref: false })]);
  if (!ended) child.kill('SIGKILL');
  await exited;
}

/**
 * Sees to it that no server holds the cluster. One that lost its parent is already shutting down; where it could not be
 * bound to the parent it is told to. A pid file whose process is something else is removed.
 */
async function endLeftover(data: string): Promise<void> {
  const file = path.join(data, 'postmaster.pid');
  const started = Date.now();
  let told = false;
  while (existsSync(file)) {
    const pid = Number.parseInt(readFileSync(file, 'utf8'), 10);
    if (!Number.isInteger(pid) || !isServerOf(pid, data)) {
      rmSync(file, { force: true });
      return;
    }
    const waited = Date.now() - started;
    if (!told && waited > 2_000) {
      process.kill(pid, 'SIGINT');
      told = true;
    }
    if (waited > 30_000) {
      throw new GodwitError('DATABASE_START', data, { reason: `an earlier server (pid ${pid}) does not end` });
    }
    await sleep(50);
  }
}

/** True when the process lives and is a postmaster of this cluster: pids are used again. */
function isServerOf(pid: number, data: string): boolean {
  try {
    const command =
      process.platform === 'linux'
        ? readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
        : spawnSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' }).stdout;
    return command.includes('postgres') && command.includes(data);
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return false;
    throw error;
  }
}

function rememberedPort(folder: string): number | undefined {
  const file = path.join(folder, 'port');
  if (!existsSync(file)) return undefined;
  const port = Number.parseInt(readFileSync(file, 'utf8'), 10);
  return Number.isInteger(port) && port > 0 && port < 65_536 ? port : undefined;
}

/** A port of ours that nobody listens on. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(PORTS.from, PORTS.to);
    const free = await new Promise<boolean>((resolve) => {
      const probe = createServer();
      probe.once('error', () => resolve(false));
      probe.listen(port, HOST, () => probe.close(() => resolve(true)));
    });
    if (free) return port;
  }
}

function diskFull(error: unknown): boolean {
  return error instanceof Error && /ENOSPC|EDQUOT|No space left on device/.test(error.message);
}

/** The line that says why: the last FATAL or error, else the last line. */
function lastWords(log: string): string {
  const lines = log
    .split('\n')
    .map((text) => text.trim())
    .filter((text) => text !== '');
  const telling = lines.findLast((text) => /FATAL|PANIC|error:|ERROR/.test(text));
  return (telling ?? lines.at(-1) ?? 'it said nothing').replace(/^[\d-]+ [\d:.]+ UTC \[\d+\] /, '');
}
