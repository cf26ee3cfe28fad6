import { mkdir, open, readFile, rename, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { GodwitError } from '@godwit/domain';
import { errorCode, pathWithin, statOrNull } from './connection.ts';

/** Folder that holds what Godwit keeps beside the VMs; its name hides it from the inventory. */
export const stateFolder = '.godwit';
/** File that marks a folder as made by Godwit. */
const markFile = '.godwit.json';

/** Says whose a folder is. Only folders with a mark are ever removed, and only by the key in it. */
export interface Mark {
  made_by: 'godwit';
  kind: 'snapshot' | 'replica' | 'instance';
  /** Key of the request that made it. */
  key: string;
  transfer: string | null;
}

/** Null when the folder or the mark is not there. */
export async function readMark(folder: string): Promise<Mark | null> {
  const found = await readJson(join(folder, markFile));
  if (typeof found !== 'object' || found === null) return null;
  const { made_by, kind, key, transfer } = Object.fromEntries(Object.entries(found));
  if (made_by !== 'godwit' || typeof key !== 'string') return null;
  if (kind !== 'snapshot' && kind !== 'replica' && kind !== 'instance') return null;
  return { made_by, kind, key, transfer: typeof transfer === 'string' ? transfer : null };
}

/** Times a folder is made anew whose parents somebody else took away as empty: each is another's end in that very moment. */
const PARENTS_LOST = 100;

/**
 * Makes a folder below Godwit's own, and its parents. Others who work in the same place take these away when they are empty
 * ({@link removeEmptyParents}), also between the making of a parent and of what belongs into it.
 */
export async function makeFolder(folder: string): Promise<void> {
  for (let left = PARENTS_LOST; ; left--) {
    try {
      await mkdir(folder, { recursive: true, mode: 0o755 });
      return;
    } catch (error) {
      // A parent that is there and then is not is told as no folder, too.
      if (!['ENOENT', 'ENOTDIR', 'EEXIST'].includes(errorCode(error) ?? '') || left === 0) throw error;
    }
  }
}

/** Makes the folder and marks it. A folder with the same mark is taken as it is. */
export async function makeMarked(folder: string, mark: Omit<Mark, 'made_by'>): Promise<void> {
  await makeFolder(folder);
  await writeJson(join(folder, markFile), { made_by: 'godwit', ...mark });
}

/**
 * Removes a marked folder and all in it. Gone already is success.
 *
 * @throws GodwitError FORBIDDEN when it does not carry the mark of that key
 */
export async function removeMarked(root: string, name: string, key: string): Promise<void> {
  const folder = await pathWithin(root, name, `folder ${name}`);
  if ((await statOrNull(folder)) === null) return;
  await requireMark(folder, key, name);
  await rm(folder, { recursive: true, force: true });
  await removeEmptyParents(root, folder);
}

/** Takes the empty folders of Godwit's own away, so that a source folder looks as it did. */
export async function removeEmptyParents(root: string, path: string): Promise<void> {
  const state = join(root, stateFolder);
  for (let at = dirname(path); at === state || at.startsWith(`${state}/`); at = dirname(at)) {
    try {
      await rmdir(at);
    } catch (error) {
      if (['ENOTEMPTY', 'ENOENT', 'EEXIST'].includes(errorCode(error) ?? '')) return;
      throw error;
    }
  }
}

/** @throws GodwitError FORBIDDEN when the folder does not carry the mark of that key */
export async function requireMark(folder: string, key: string, object: string): Promise<Mark> {
  const mark = await readMark(folder);
  if (mark?.key !== key) {
    throw new GodwitError('FORBIDDEN', object, { reason: 'it does not carry the mark of Godwit; nothing was removed' });
  }
  return mark;
}

/** Parsed content, or null when it is not there or no JSON. */
export async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR' || error instanceof SyntaxError) return null;
    throw error;
  }
}

/** Whole or not at all, and on stable storage when it resolves. */
export async function writeJson(path: string, content: object): Promise<void> {
  await writeText(path, `${JSON.stringify(content, null, 2)}\n`);
}

/** Whole or not at all, and on stable storage when it resolves. */
export async function writeText(path: string, text: string): Promise<void> {
  const partial = `${path}.partial`;
  const file = await open(partial, 'w', 0o644);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(partial, path);
}
