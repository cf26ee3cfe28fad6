import { readdir, readFile, readlink } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { RefusedError } from './refused.ts';

/** A holder is killed, but the kernel first finishes its writes. */
const PATIENCE_MS = 20_000;
const RETRY_MS = 50;

/**
 * Makes this process the only agent that writes to a device. A former one is killed; when this resolves it can write no
 * more: the kernel lets go of the lock when the last of its threads has ended.
 *
 * The lock is an abstract unix socket, so nothing is left behind by whatever end.
 *
 * @param name of the device, unique on this machine
 * @returns lets go of it
 * @throws RefusedError CONFLICT when somebody else holds it, or it cannot be taken
 */
export async function lockDevice(name: string, id: string): Promise<() => Promise<void>> {
  const path = `\0godwit-agent-${name}`;
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const server = await bound(path);
    if (server !== null) return () => new Promise((resolve) => server.close(() => resolve()));
    if (performance.now() > deadline) throw new RefusedError('CONFLICT', id, 'the former agent does not end');
    for (const pid of await holders(path)) {
      if (pid === process.pid) throw new RefusedError('CONFLICT', id, 'it was given twice');
      if (!(await isAgent(pid))) throw new RefusedError('CONFLICT', id, `process ${pid} holds its lock`);
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        // Ended by itself meanwhile: the next try will see.
        if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
      }
    }
    await sleep(RETRY_MS);
  }
}

function bound(path: string): Promise<Server | null> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(null);
      else reject(error);
    });
    server.listen({ path }, () => resolve(server));
    server.unref();
  });
}

/** Processes that have the socket open. */
async function holders(path: string): Promise<number[]> {
  const name = path.replace('\0', '@');
  const line = (await readFile('/proc/net/unix', 'utf8')).split('\n').find((entry) => entry.endsWith(` ${name}`));
  const inode = line?.trim().split(/\s+/)[6];
  if (inode === undefined) return [];
  const found: number[] = [];
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const folder = `/proc/${entry}/fd`;
    for (const fd of await readdir(folder).catch(() => [])) {
      const target = await readlink(`${folder}/${fd}`).catch(() => '');
      if (target === `socket:[${inode}]`) found.push(Number(entry));
    }
  }
  return found;
}

/** Whether a process was started as this one was. */
async function isAgent(pid: number): Promise<boolean> {
  const commandOf = (process: string) => readFile(`/proc/${process}/cmdline`, 'utf8').catch(() => '');
  const main = (text: string) => text.split('\0').find((word) => /\bmain\.(ts|js)$/.test(word)) !== undefined;
  return main(await commandOf('self')) && main(await commandOf(String(pid)));
}
