import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Held in memory on Linux: what lies there never reaches a platter. */
const MEMORY = '/dev/shm';
/** A socket path has room for 107 bytes; SSH adds 17 while it makes one. */
const MAX_FOLDER = 80;

const swept = new Set<string>();

/**
 * A folder for the keys and sockets of one connection, for this user only: in memory where the machine has such a file
 * system. The first call in a process removes what killed processes of this user left behind.
 *
 * @param workDir where, when there is no memory and its path is short enough
 */
export function makePrivateFolder(workDir: string): string {
  const places = [MEMORY, ...(workDir.length <= MAX_FOLDER - 30 ? [workDir] : []), tmpdir()];
  const prefix = `godwit-agent-${process.getuid?.() ?? 0}-`;
  for (const place of places) {
    try {
      if (!swept.has(place)) {
        swept.add(place);
        sweep(place, prefix);
      }
      return mkdtempSync(join(place, `${prefix}${process.pid}-`));
    } catch (error) {
      // Not there, or not for us: the next place must do.
      if (place === places.at(-1)) throw error;
    }
  }
  throw new Error('no place for a private folder');
}

/** Writes a file that only this user can read. */
export function writePrivate(path: string, text: string): string {
  writeFileSync(path, text.endsWith('\n') ? text : `${text}\n`, { mode: 0o600 });
  return path;
}

function sweep(place: string, prefix: string): void {
  for (const name of readdirSync(place)) {
    if (!name.startsWith(prefix) || lives(name.slice(prefix.length))) continue;
    rmSync(join(place, name), { recursive: true, force: true });
  }
}

/** @param rest `PID-RANDOM` */
function lives(rest: string): boolean {
  try {
    return statSync(`/proc/${Number.parseInt(rest, 10)}`).isDirectory();
  } catch {
    return false;
  }
}
