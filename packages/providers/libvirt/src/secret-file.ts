import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Held in memory on Linux: what lies there never reaches a platter. */
const MEMORY = '/dev/shm';

let ownFolder: string | null | undefined;

/**
 * Writes what virsh and ssh want to read from a file: passwords and keys. Where the machine has a file system in memory the
 * file lies there, and is gone with this process, or with the next one of this user when this one is killed.
 *
 * @param folder private folder of the connection; its last part names the file's folder, and where there is no file system
 *   in memory it holds the file
 */
export async function secretFile(folder: string, name: string, text: string): Promise<string> {
  ownFolder ??= memoryFolder();
  const place = ownFolder === null ? folder : join(ownFolder, folder.replaceAll(/[^\w-]/g, '_'));
  mkdirSync(place, { recursive: true, mode: 0o700 });
  const path = join(place, name);
  await writeWhole(path, text, 0o600);
  return path;
}

/** Whole or not at all: another call to the same host may be reading it just now. A line end is added where it lacks. */
export async function writeWhole(path: string, text: string, mode: number): Promise<void> {
  const partial = `${path}.${randomBytes(4).toString('hex')}`;
  await writeFile(partial, text.endsWith('\n') ? text : `${text}\n`, { mode });
  await rename(partial, path);
}

function memoryFolder(): string | null {
  const user = `godwit-secrets-${process.getuid?.() ?? 0}-`;
  try {
    for (const left of readdirSync(MEMORY)) {
      if (left.startsWith(user) && !lives(left.slice(user.length))) {
        rmSync(join(MEMORY, left), { recursive: true, force: true });
      }
    }
    const folder = mkdtempSync(join(MEMORY, `${user}${process.pid}-`));
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
    return folder;
  } catch {
    // No such file system, or none that we may write to: the private folder must do.
    return null;
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
