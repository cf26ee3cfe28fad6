import { randomUUID } from 'node:crypto';
import { type FileHandle, link, lstat, open, readFile, readlink, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { lockFile } from '@godwit/disk';
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

/**
 * A holder that cannot be looked at (in another container, on another machine) is taken for dead when its lease is not
 * locked and older than that, ms. Both ages are told by the file system: clocks of machines differ.
 */
const STALE_MS = 30_000;
const REFRESH_MS = 5_000;

/**
 * Takes the write lease of a raw disk file: a file beside it. A holder whose process has ended lost it. One that still
 * lives, be it stopped, keeps it: writes that wait in its threads are made when it wakes, before anything can stop them,
 * so the newcomer is refused, not the data mixed. Where its process cannot be looked at, the lock that it has on the lease
 * file tells whether it lives. For qcow2 the locks of qemu do the same.
 *
 * @param waitMs how long a living holder is waited for. Default 5,000
 * @throws GodwitError DISK_BUSY, CANCELED
 */
export async function takeLease(disk: string, object: string, signal: AbortSignal, waitMs = 5_000): Promise<Lease> {
  const path = leasePath(disk);
  const own = await ownIdentity();
  const draft = leaseDraft(disk, own.token);
  const sign = await Sign.put(draft, JSON.stringify(own));
  let taken = false;
  try {
    const deadline = performance.now() + waitMs;
    while (!(await isLinked(draft, path))) {
      if (signal.aborted) throw new GodwitError('CANCELED', object);
      const verdict = await judge(path, own, sign);
      if (verdict.dead) {
        await displace(path, verdict.token, `${draft}.old`);
        continue;
      }
      if (performance.now() > deadline) throw new GodwitError('DISK_BUSY', object, { reason: verdict.reason });
      await sleep(100);
    }
    taken = true;
  } finally {
    await rm(draft, { force: true });
    if (!taken) await sign.close();
  }
  return held(path, own.token, sign);
}

/** The lease file of a disk. */
function leasePath(disk: string): string {
  return `${disk}.lease`;
}

/** The file that becomes the lease file once it is written whole; a process that is killed meanwhile leaves it behind. */
export function leaseDraft(disk: string, token: string): string {
  return `${leasePath(disk)}.${token}`;
}

/**
 * The file that stands for a holder, kept open and locked: the lock ends with its last thread. Writing it again says that
 * the holder lives, also where there are no locks, whatever its name is by then.
 */
class Sign {
  readonly #file: FileHandle;
  readonly #text: string;

  private constructor(file: FileHandle, text: string) {
    this.#file = file;
    this.#text = text;
  }

  static async put(path: string, text: string): Promise<Sign> {
    const file = await open(path, 'wx', 0o600);
    const sign = new Sign(file, text);
    try {
      await lockFile(file.fd, 'exclusive');
      await sign.renew();
      return sign;
    } catch (error) {
      await file.close();
      await rm(path, { force: true });
      throw error;
    }
  }

  /** The same bytes once more: whoever keeps the file sets its time. Returns that, ms. */
  async renew(): Promise<number> {
    await this.#file.write(this.#text, 0);
    await this.#file.datasync();
    return (await this.#file.stat()).mtimeMs;
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

function held(path: string, token: string, sign: Sign): Lease {
  let renewing: Promise<unknown> = Promise.resolve();
  const refresh = setInterval(() => {
    // A lost lease is found by the fence of the engine; this only keeps a held one young. What failed may work next time.
    renewing = sign.renew().catch(() => undefined);
  }, REFRESH_MS);
  refresh.unref();
  let released: Promise<void> | undefined;
  const release = async (): Promise<void> => {
    clearInterval(refresh);
    await renewing;
    await sign.close();
    if ((await tokenAt(path)) === token) await rm(path, { force: true });
  };
  return {
    release: () => {
      released ??= release();
      return released;
    },
  };
}

type Verdict = { dead: true; token: string | null } | { dead: false; reason: string };

async function judge(path: string, own: Holder, sign: Sign): Promise<Verdict> {
  const found = await readJson(path);
  if (!isHolder(found)) return { dead: true, token: null };
  if (found.host === own.host && found.boot === own.boot && found.namespace === own.namespace) {
    const lives = (await startTime(found.pid)) === found.started;
    if (!lives) return { dead: true, token: found.token };
    return { dead: false, reason: `process ${found.pid} still has it open for writing` };
  }
  if (await isLocked(path)) {
    // A container has a host name of its own, by which it is found.
    const where = found.boot === own.boot ? `in another container (${found.host})` : `on ${found.host}`;
    return { dead: false, reason: `process ${found.pid} ${where} still has it open for writing, be it stopped` };
  }
  // The same name and another boot may be the same machine after a restart, or another one of that name.
  const renewed = await lstat(path).then(
    (info) => info.mtimeMs,
    () => null,
  );
  if (renewed !== null && (await sign.renew()) - renewed > STALE_MS) return { dead: true, token: found.token };
  return { dead: false, reason: `a process on ${found.host} still has it open for writing` };
}

/** Whether whoever put the lease there certainly lives. False says nothing: its file system may have no locks. */
async function isLocked(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'r');
    try {
      return (await lockFile(file.fd, 'shared')) === 'held';
    } finally {
      await file.close();
    }
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
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
