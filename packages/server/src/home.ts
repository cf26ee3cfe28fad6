import { createHash } from 'node:crypto';
import { chmodSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { GodwitError } from '@godwit/domain';

/**
 * Makes the home, for its owner alone.
 *
 * @throws GodwitError CONFIG_INVALID when it cannot be made or belongs to somebody else
 */
export function prepareHome(home: string): void {
  try {
    mkdirSync(home, { recursive: true, mode: 0o700 });
    const { uid, mode } = statSync(home);
    if (process.getuid !== undefined && uid !== process.getuid()) {
      throw new GodwitError('CONFIG_INVALID', 'GODWIT_HOME', {
        reason: `${home} belongs to another user (uid ${uid})`,
      });
    }
    if ((mode & 0o077) !== 0) chmodSync(home, 0o700);
  } catch (error) {
    throw GodwitError.wrap(error, 'CONFIG_INVALID', 'GODWIT_HOME');
  }
}

/** Places in the home. */
export const homePaths = (home: string) => ({
  postgres: path.join(home, 'postgres'),
  secretKeys: path.join(home, 'keys', 'secrets.json'),
  receiptKey: path.join(home, 'keys', 'receipt.pem'),
  openrc: path.join(home, 'openrc'),
  clouds: path.join(home, 'clouds.yaml'),
  lock: path.join(home, 'server.lock'),
  keystone: path.join(home, 'keystone.yaml'),
  policy: path.join(home, 'policy.yaml'),
  logs: path.join(home, 'logs'),
});

/** Longest folder in which a Unix socket with a name of 30 characters still fits (the kernel allows 107 in all). */
const LONGEST = 75;

/**
 * Private folder of a worker, short enough for sockets: in the home, or under the temporary folder when the home lies
 * deep. Made when it is not there.
 */
export function workFolder(home: string, worker: string): string {
  const name = worker.replace(/[^\w-]/g, '_').slice(0, 20);
  let folder = path.join(home, 'work', name);
  if (Buffer.byteLength(folder) > LONGEST) {
    const id = createHash('sha256').update(`${home}\0${worker}`).digest('hex').slice(0, 12);
    folder = path.join(tmpdir(), `godwit-${process.getuid?.() ?? 0}-${id}`);
  }
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { uid } = statSync(folder);
  if (process.getuid !== undefined && uid !== process.getuid()) {
    throw new GodwitError('CONFIG_INVALID', 'GODWIT_HOME', {
      reason: `${folder} belongs to another user (uid ${uid})`,
    });
  }
  return folder;
}

/** Held until released or until the process is gone. */
export interface Lock {
  release(): void;
}

/**
 * Takes a lock file: it names the process that holds it (pid and when that started, since pids are used again), so one
 * left by a killed process does not count.
 *
 * @throws GodwitError HOME_IN_USE
 */
export function takeLock(file: string, object: string): Lock {
  const mine = `${process.pid} ${startOf(process.pid) ?? ''}\n`;
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, mine, { mode: 0o600 });
  try {
    for (;;) {
      try {
        linkSync(draft, file);
        return { release: () => releaseLock(file, mine) };
      } catch (error) {
        if (!hasCode(error, 'EEXIST')) throw error;
      }
      const holder = readIfThere(file);
      if (holder === undefined) continue;
      const pid = holderPid(holder);
      if (pid !== undefined) throw new GodwitError('HOME_IN_USE', object, { pid });
      removeStale(file, holder);
    }
  } finally {
    rmSync(draft, { force: true });
  }
}

function releaseLock(file: string, mine: string): void {
  if (readIfThere(file) === mine) rmSync(file, { force: true });
}

/** Pid of the living process that holds it, or undefined. */
function holderPid(content: string): number | undefined {
  const [pid, start] = content.trim().split(' ');
  const number = Number(pid);
  if (!Number.isInteger(number) || number <= 0) return undefined;
  const present = startOf(number);
  return present !== undefined && present === (start ?? '') ? number : undefined;
}

/** Two starters may both have found the same stale file: only what was judged is taken away, never a successor's. */
function removeStale(file: string, judged: string): void {
  const aside = `${file}.stale.${process.pid}`;
  try {
    renameSync(file, aside);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return;
    throw error;
  }
  if (readIfThere(aside) !== judged) {
    try {
      linkSync(aside, file);
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
    }
  }
  rmSync(aside, { force: true });
}

/** When a process started, as text that only it has; undefined when it does not live. */
function startOf(pid: number): string | undefined {
  if (process.platform === 'linux') {
    const stat = readIfThere(`/proc/${pid}/stat`);
    // The name in brackets may hold anything; the start is the 20th field after it.
    return stat === undefined ? undefined : stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  }
  try {
    process.kill(pid, 0);
    return '';
  } catch (error) {
    return hasCode(error, 'EPERM') ? '' : undefined;
  }
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ESRCH')) return undefined;
    throw error;
  }
}

const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code;
