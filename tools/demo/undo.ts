import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** What the demo undoes at its end, newest first. */
export type Undo = (() => Promise<void>)[];

const PREFIX = 'godwit-demo-';
const OWNER = 'demo.pid';

/** A folder for all that the demo makes. Those of demos that were killed are removed: nobody else does. */
export function makeDemoFolder(): string {
  for (const name of readdirSync(tmpdir()).filter((entry) => entry.startsWith(PREFIX))) {
    const folder = path.join(tmpdir(), name);
    if (isAbandoned(folder)) rmSync(folder, { recursive: true, force: true });
  }
  const folder = mkdtempSync(path.join(tmpdir(), PREFIX));
  writeFileSync(path.join(folder, OWNER), String(process.pid));
  return folder;
}

/** False of another user's, and of what no demo made. */
function isAbandoned(folder: string): boolean {
  try {
    const owner = Number(readFileSync(path.join(folder, OWNER), 'utf8'));
    process.kill(owner, 0);
    return false;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ESRCH';
  }
}
