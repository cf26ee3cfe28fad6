import { realpath, stat } from 'node:fs/promises';
import { dirname, relative, resolve } from 'node:path';
import { GodwitError } from '@godwit/domain';
import { type ImageFormat, type ImageSlice, imageArguments } from './image-source.ts';
import { qemuError } from './qemu-error.ts';
import { findTool, runTool } from './tool.ts';

export type { ImageFormat } from './image-source.ts';

/** A persistent dirty bitmap of a qcow2 image. */
export interface ImageBitmap {
  name: string;
  /** Bytes that one bit stands for. */
  granularity: number;
  /** False: it was not closed properly and knows nothing. */
  usable: boolean;
}

export interface ImageInfo {
  path: string;
  format: ImageFormat;
  /** Bytes of the disk that the image holds. */
  virtualSize: number;
  /** Bytes the file takes on its file system. */
  allocated: number;
  /** Files that the image reads besides itself (backing chain, data files, extents), absolute. */
  files: string[];
  bitmaps: ImageBitmap[];
}

const extensions: ReadonlyMap<string, ImageFormat> = new Map([
  ['raw', 'raw'],
  ['img', 'raw'],
  ['qcow2', 'qcow2'],
  ['vmdk', 'vmdk'],
  ['vhdx', 'vhdx'],
  ['vhd', 'vpc'],
  ['vpc', 'vpc'],
  ['vdi', 'vdi'],
]);
/** Backing chains longer than that are refused. */
const MAX_CHAIN = 16;

/** The format a file name promises, or null. Never looks inside: what a guest can write decides nothing. */
export function formatByName(path: string): ImageFormat | null {
  return extensions.get(/\.([a-z0-9]+)$/i.exec(path)?.[1]?.toLowerCase() ?? '') ?? null;
}

/**
 * Size, bitmaps and files of an image in the stated format. Refuses images that refer to files outside their own
 * folder: a backing or data file named by a hostile image would otherwise be read and copied.
 *
 * @param folder the files must lie in it. Default: the image's own folder
 * @param slice the image is only this part of the file. Default: all of it
 * @throws GodwitError DISK_CORRUPT, NOT_FOUND, FORBIDDEN (refers outside), TOOL_MISSING
 */
export async function inspectImage(
  path: string,
  format: ImageFormat,
  folder?: string,
  slice?: ImageSlice,
): Promise<ImageInfo> {
  const image = resolve(path);
  const home = await realpath(folder ?? dirname(image)).catch((error) => {
    throw GodwitError.wrap(error, 'NOT_FOUND', path);
  });
  const files: string[] = [];
  const top = await describe(image, format, path, slice);
  let link = top;
  let at = image;
  for (let depth = 0; ; depth++) {
    if (depth > MAX_CHAIN)
      throw new GodwitError('DISK_CORRUPT', path, { format, reason: 'its backing chain is too long' });
    for (const name of link.otherFiles) files.push(await withinFolder(home, dirname(at), name, path));
    if (link.backing === null) break;
    if (link.backingFormat === null) {
      throw new GodwitError('FORBIDDEN', path, { reason: 'it does not say the format of its backing file' });
    }
    at = await withinFolder(home, dirname(at), link.backing, path);
    files.push(at);
    link = await describe(at, link.backingFormat, path);
  }
  return { path: image, format, virtualSize: top.virtualSize, allocated: top.allocated, files, bitmaps: top.bitmaps };
}

/**
 * Makes an image that reads as zeroes. An existing file is overwritten.
 *
 * @param size bytes of the disk; qcow2 rounds up to 512
 * @throws GodwitError TARGET_FULL, FORBIDDEN, NOT_FOUND (no such folder), TOOL_MISSING
 */
export async function createImage(path: string, format: 'raw' | 'qcow2', size: number): Promise<void> {
  const args = ['create', '-q', '-f', format];
  if (format === 'qcow2') args.push('-o', 'compat=1.1,lazy_refcounts=off');
  args.push('--', resolve(path), String(size));
  const result = await runTool('qemu-img', args, path);
  if (result.code !== 0) throw qemuError(result.stderr, path, path, format);
}

interface Link {
  virtualSize: number;
  allocated: number;
  backing: string | null;
  backingFormat: ImageFormat | null;
  otherFiles: string[];
  bitmaps: ImageBitmap[];
}

/** What `qemu-img info` says; the backing file is not opened. Bounded in time and memory: the image may be hostile. */
async function describe(path: string, format: ImageFormat, object: string, slice?: ImageSlice): Promise<Link> {
  const args = ['info', '--output=json', '-U', ...imageArguments(path, format, { slice })];
  const bounded = (await findTool('prlimit')) !== null;
  const result = bounded
    ? await runTool('prlimit', ['--as=2147483648', '--cpu=30', 'qemu-img', ...args], object)
    : await runTool('qemu-img', args, object);
  if (result.code !== 0) throw qemuError(result.stderr, object, path, format);
  const info = parse(result.stdout, object, format);
  const specific = field(field(info, 'format-specific'), 'data');
  const backing = text(info, 'full-backing-filename') ?? text(info, 'backing-filename');
  const backingFormat = text(info, 'backing-filename-format');
  const dataFile = text(specific, 'data-file');
  return {
    virtualSize: format === 'raw' ? (slice?.length ?? (await rawSize(path, info))) : number(info, 'virtual-size'),
    allocated: number(info, 'actual-size'),
    backing,
    backingFormat: isFormat(backingFormat) ? backingFormat : null,
    otherFiles: [...(dataFile === null ? [] : [dataFile]), ...vmdkExtents(specific, path, slice !== undefined)],
    bitmaps: list(specific, 'bitmaps').map((bitmap) => ({
      name: text(bitmap, 'name') ?? '',
      granularity: number(bitmap, 'granularity'),
      usable: !list(bitmap, 'flags').includes('in-use'),
    })),
  };
}

/** qemu rounds the size of raw files up to 512 bytes. */
async function rawSize(path: string, info: unknown): Promise<number> {
  const file = await stat(path);
  return file.isFile() ? file.size : number(info, 'virtual-size');
}

function vmdkExtents(specific: unknown, path: string, sliced: boolean): string[] {
  return list(specific, 'extents')
    .map((extent) => text(extent, 'filename'))
    .filter((name): name is string => name !== null)
    .filter((name) => (sliced ? !isSliceOf(name, path) : resolve(name) !== path));
}

/** qemu names a slice by its own options, as JSON. */
function isSliceOf(name: string, path: string): boolean {
  if (!name.startsWith('json:')) return false;
  const options = parse(name.slice(5), path, 'vmdk');
  return field(options, 'driver') === 'raw' && text(field(options, 'file'), 'filename') === path;
}

async function withinFolder(home: string, base: string, name: string, object: string): Promise<string> {
  const refuse = () => new GodwitError('FORBIDDEN', object, { reason: `it refers to "${name}" outside its folder` });
  // "json:" and "nbd:" names make qemu open something else than a file.
  if (/^[a-z][a-z0-9+.-]*:/i.test(name)) throw refuse();
  const path = await realpath(resolve(base, name)).catch((error) => {
    throw GodwitError.wrap(error, 'NOT_FOUND', `${object} (${name})`);
  });
  const from = relative(home, path);
  if (from === '' || from.startsWith('..') || from.startsWith('/')) throw refuse();
  return path;
}

function parse(output: string, object: string, format: string): unknown {
  try {
    return JSON.parse(output);
  } catch (error) {
    throw GodwitError.wrap(error, 'DISK_CORRUPT', object, { format });
  }
}

function isFormat(name: string | null): name is ImageFormat {
  return name !== null && [...extensions.values()].some((format) => format === name);
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

function text(value: unknown, name: string): string | null {
  const found = field(value, name);
  return typeof found === 'string' ? found : null;
}

function number(value: unknown, name: string): number {
  const found = field(value, name);
  return typeof found === 'number' ? found : 0;
}

function list(value: unknown, name: string): unknown[] {
  const found = field(value, name);
  return Array.isArray(found) ? found : [];
}
