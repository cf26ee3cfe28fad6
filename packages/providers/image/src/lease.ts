import { randomUUID } from 'node:crypto';
import { link, lstat, open, readFile, readlink, rename, rm, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { GodwitError } from '@godwit/domain';
import { errorCode } from './connection.ts';
import { readJson } from './mark.ts';

/** The right to write a raw disk, until release(). */
export interface Lease {
  release(): Promise<void>;
}

interface Holder {
  token: string;
  host: string;
  boot: string;
  /** Process ids mean something only in one namespace. */
  namespace: string;
  pid: number;
  /** Start time of the process: ids are used again. */
  started: string;
}

/** A holder that cannot be looked at (on another machine) is taken for dead when its lease is older than that, ms. */
const STALE_MS = 30_000;
const REFRESH_MS = 5_000;

/**
 * Takes the write lease of a raw disk file: a file beside it. A holder whose process has ended lost it. One that still
 * lives, be it stopped, keeps it: bytes that it handed to the kernel could still arrive, so the newcomer is refused, not
 * the data mixed. For qcow2 the locks of qemu do the same.
 *
 * @param waitMs how long a living holder is waited for. Default 5,000
 * @throws GodwitError CONFLICT, CANCELED
 */
export async function takeLease(disk: string, object: string, signal: AbortSignal, waitMs = 5_000): Promise<Lease> {
  const path = leasePath(disk);
  const own = await ownIdentity();
  const draft = leaseDraft(disk, own.token);
  await writeWhole(draft, JSON.stringify(own));
  try {
    const deadline = performance.now() + waitMs;
    while (!(await isLinked(draft, path))) {
      if (signal.aborted) throw new GodwitError('CANCELED', object);
      const verdict = await judge(path, own);
      if (verdict.dead) {
        await displace(path, verdict.token, `${draft}.old`);
        continue;
      }
      if (performance.now() > deadline) throw new GodwitError('CONFLICT', object, { reason: verdict.reason });
      await sleep(100);
    }
  } finally {
    await rm(draft, { force: true });
  }
  return held(path, own.token);
}

/** The lease file of a disk. */
function leasePath(disk: string): string {
  return `${disk}.lease`;
}

/** The file that becomes the lease file once it is written whole; a process that is killed meanwhile leaves it behind. */
export function leaseDraft(disk: string, token: string): string {
  return `${leasePath(disk)}.${token}`;
}

function held(path: string, token: string): Lease {
  const refresh = setInterval(() => {
    const now = new Date();
    // A lost lease is found by the fence of the engine; this only keeps a held one young.
    utimes(path, now, now).catch(() => clearInterval(refresh));
  }, REFRESH_MS);
  refresh.unref();
  return {
    release: async () => {
      clearInterval(refresh);
      if ((await tokenAt(path)) === token) await rm(path, { force: true });
    },
  };
}

type Verdict = { dead: true; token: string | null } | { dead: false; reason: string };

async function judge(path: string, own: Holder): Promise<Verdict> {
  const found = await readJson(path);
  if (!isHolder(found)) return { dead: true, token: null };
  if (found.host === own.host && found.boot !== own.boot) return { dead: true, token: found.token };
  if (found.host === own.host && found.namespace === own.namespace) {
    const lives = (await startTime(found.pid)) === found.started;
    if (!lives) return { dead: true, token: found.token };
    return { dead: false, reason: `process ${found.pid} still has it open for writing` };
  }
  const age = await lstat(path).then(
    (info) => Date.now() - info.mtimeMs,
    () => 0,
  );
  if (age > STALE_MS) return { dead: true, token: found.token };
  return { dead: false, reason: `a process on ${found.host} still has it open for writing` };
}

/** Takes a dead lease away; one that somebody renewed meanwhile is put back. */
async function displace(path: string, token: string | null, aside: string): Promise<void> {
  try {
    await rename(path, aside);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    throw error;
  }
  if ((await tokenAt(aside)) !== token) await isLinked(aside, path);
  await rm(aside, { force: true });
}

async function isLinked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

async function tokenAt(path: string): Promise<string | null> {
  const found = await readJson(path);
  return isHolder(found) ? found.token : null;
}

function isHolder(value: unknown): value is Holder {
  if (typeof value !== 'object' || value === null) return false;
  const fields = new Map<string, unknown>(Object.entries(value));
  const texts = ['token', 'host', 'boot', 'namespace', 'started'];
  return texts.every((name) => typeof fields.get(name) === 'string') && typeof fields.get('pid') === 'number';
}

async function ownIdentity(): Promise<Holder> {
  return {
    token: randomUUID(),
    host: hostname(),
    boot: (await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => 'unknown')).trim(),
    namespace: await readlink('/proc/self/ns/pid').catch(() => 'unknown'),
    pid: process.pid,
    started: (await startTime(process.pid)) ?? 'unknown',
  };
}

/** Null when there is no such process or only its remains. */
async function startTime(pid: number): Promise<string | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  // The command in brackets may hold anything; the fields after it are plain.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (fields === undefined || fields[0] === 'X') return null;
  // Remains of a process count as alive while one of its threads is still within a write.
  if (fields[0] === 'Z' && Number(fields[17]) <= 1) return null;
  return fields[19] ?? null;
}

async function writeWhole(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(text);
  } finally {
    await file.close();
  }
}
