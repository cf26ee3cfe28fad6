import { constants, type Stats } from 'node:fs';
import { access, lstat, realpath } from 'node:fs/promises';
import { isAbsolute, join, relative, sep } from 'node:path';
import { GodwitError } from '@godwit/domain';
import { checkInput, type ProviderContext } from '@godwit/provider';
import { Type } from 'typebox';

export const connectionSchema = Type.Object(
  {
    path: Type.String({
      title: 'Folder',
      minLength: 1,
      description: 'Absolute path of the folder of VMs, as the worker sees it',
    }),
  },
  { additionalProperties: false },
);

/**
 * The endpoint's folder, with symbolic links in its own path resolved; nothing below it may be one.
 *
 * @throws GodwitError INVALID_INPUT, CONNECTION_FAILED (not there), AUTHENTICATION_FAILED (not readable)
 */
export async function openFolder(ctx: ProviderContext): Promise<string> {
  if (ctx.signal.aborted) throw new GodwitError('CANCELED', ctx.endpoint);
  const { path } = checkInput(connectionSchema, ctx.connectionInfo, 'connection_info');
  if (!isAbsolute(path)) {
    throw new GodwitError('INVALID_INPUT', ctx.endpoint, { reason: 'connection_info/path must be absolute' });
  }
  try {
    const root = await realpath(path);
    const info = await lstat(root);
    if (!info.isDirectory()) {
      throw new GodwitError('CONNECTION_FAILED', ctx.endpoint, { reason: `${path} is not a folder` });
    }
    await access(root, constants.R_OK | constants.X_OK);
    return root;
  } catch (error) {
    const code = errorCode(error);
    const failed = code === 'EACCES' || code === 'EPERM' ? 'AUTHENTICATION_FAILED' : 'CONNECTION_FAILED';
    throw GodwitError.wrap(error, failed, ctx.endpoint);
  }
}

/** `ENOENT` and the like, or null when it is no error of the system. */
export function errorCode(error: unknown): string | null {
  if (!(error instanceof Error) || !('code' in error)) return null;
  return typeof error.code === 'string' ? error.code : null;
}

/** Null instead of a rejection when it does not exist. */
export async function statOrNull(path: string): Promise<Stats | null> {
  try {
    return await lstat(path);
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw error;
  }
}

/**
 * A path below `home` that was named by something not trusted: a handle, an OVF, a domain XML. Every component must be a
 * plain folder or file: a symbolic link could lead anywhere.
 *
 * @param name relative, with `/`
 * @param object who names it, for the error
 * @throws GodwitError FORBIDDEN (leads outside or through a link)
 */
export async function pathWithin(home: string, name: string, object: string): Promise<string> {
  const refuse = (why: string) => new GodwitError('FORBIDDEN', object, { reason: `it refers to "${name}", ${why}` });
  if (name === '' || name.includes('\0')) throw refuse('which is no file name');
  if (isAbsolute(name)) throw refuse('an absolute path');
  const full = join(home, name);
  const inside = relative(home, full);
  if (inside === '' || inside === '..' || inside.startsWith(`..${sep}`)) throw refuse('outside its folder');
  let at = home;
  for (const part of inside.split(sep)) {
    at = join(at, part);
    const info = await statOrNull(at);
    if (info === null) break;
    if (info.isSymbolicLink()) throw refuse('a symbolic link');
  }
  return full;
}

/** A name fit for a file on any system, never hidden, at most 60 characters. */
export function fileName(name: string): string {
  const plain = name.replace(/[^A-Za-z0-9._-]+/g, '_').replace(/^[._-]+/, '');
  return plain.slice(0, 60) || 'vm';
}
