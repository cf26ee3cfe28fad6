import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A socket path has room for 107 bytes; the name below it needs 30. */
const MAX_PARENT = 75;
const PREFIX = 'gnbd-';
/** Name of the socket in its folder. */
export const SOCKET_NAME = 's';

const swept = new Set<string>();

/**
 * A new folder for one socket, readable by this user only. The first call in a process also removes the folders that
 * killed processes left behind.
 *
 * @param workDir where; ignored when its path is too long for a socket
 */
export async function makeSocketFolder(workDir: string | undefined): Promise<string> {
  const parent = workDir !== undefined && workDir.length <= MAX_PARENT ? workDir : tmpdir();
  if (!swept.has(parent)) {
    swept.add(parent);
    await sweep(parent);
  }
  return mkdtemp(join(parent, `${PREFIX}${process.pid}-`));
}

/** Removes folders whose maker is dead and where nobody listens; another container's process may only look dead. */
async function sweep(parent: string): Promise<void> {
  for (const name of await readdir(parent).catch(() => [])) {
    const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    const folder = join(parent, name);
    // A folder of another user stays: it is theirs to remove.
    if (await isDeaf(join(folder, SOCKET_NAME)))
      await rm(folder, { recursive: true, force: true }).catch(() => undefined);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH');
  }
}

function isDeaf(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(socket);
    probe.once('connect', () => {
      resolve(false);
      probe.destroy();
    });
    probe.once('error', (error) => resolve('code' in error && error.code === 'ECONNREFUSED'));
  });
}
