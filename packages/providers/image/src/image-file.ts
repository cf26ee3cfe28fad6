import { constants } from 'node:fs';
import { type FileHandle, open, readFile, stat } from 'node:fs/promises';
import { basename, dirname, relative } from 'node:path';
import { formatByName, type ImageFormat, type ImageSlice, imageArguments, inspectImage, runTool } from '@godwit/disk';
import { GodwitError } from '@godwit/domain';
import { readExactly } from './tar.ts';
import { isSparseExtent, readSparseExtent } from './vmdk.ts';
import { checkGrains } from './vmdk-grains.ts';

/** A disk image that was looked at and may be read. */
export interface ImageFile {
  /** Absolute. */
  path: string;
  format: ImageFormat;
  /** Present: the image is this part of the file. */
  slice?: ImageSlice;
  /** Bytes of the disk. */
  size: number;
  /** Bytes on the file system. */
  allocated: number;
  /** All files it reads, absolute, itself first. */
  files: string[];
}

/**
 * Opens a file for reading without following a symbolic link.
 *
 * @throws GodwitError NOT_FOUND, FORBIDDEN (a link, or not readable), DISK_READ_FAILED
 */
export async function openPlainFile(path: string, object: string): Promise<FileHandle> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    if ((await file.stat()).isFile()) return file;
    await file.close();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null;
    if (code === 'ENOENT') throw GodwitError.wrap(error, 'NOT_FOUND', object);
    if (code === 'ELOOP') throw new GodwitError('FORBIDDEN', object, { reason: 'it is a symbolic link' });
    if (code === 'EACCES') throw GodwitError.wrap(error, 'FORBIDDEN', object);
    throw GodwitError.wrap(error, 'DISK_READ_FAILED', object, { offset: 0 });
  }
  throw new GodwitError('FORBIDDEN', object, { reason: 'it is no plain file' });
}

/**
 * Finds out the format of an image and refuses what would be read wrong or from elsewhere.
 *
 * What a guest can write into its own disk must never decide which files are opened: a format that was told by content
 * alone may not refer to other files.
 *
 * @param home folder that all its files must lie in
 * @param stated format by a description, or null
 * @throws GodwitError DISK_CORRUPT, FORBIDDEN, UNSUPPORTED, NOT_FOUND
 */
export async function lookAtImage(
  path: string,
  home: string,
  stated: ImageFormat | null,
  object: string,
  slice?: ImageSlice,
): Promise<ImageFile> {
  const file = await openPlainFile(path, object);
  let format: ImageFormat;
  let guessed = false;
  const place = { path, ...(slice === undefined ? {} : { slice }) };
  try {
    const { size, blocks } = await file.stat();
    const length = slice?.length ?? size;
    const promised = stated ?? (/\.img$/i.test(path) ? null : formatByName(path));
    guessed = promised === null;
    format = promised ?? (await formatByContent(file, slice?.offset ?? 0, length));
    if (format === 'raw') return { ...place, format, size: length, allocated: blocks * 512, files: [path] };
    if (format === 'vpc') await refuseDifferencingVhd(file, slice?.offset ?? 0, length, object);
    if (format === 'vhdx') await refuseDifferencingVhdx(file, slice?.offset ?? 0, object);
    if (format === 'vmdk') {
      const extent = { file, offset: slice?.offset ?? 0, length, object };
      // qemu names no place, and takes most of what is lost in the tables for zeroes.
      if (await isSparseExtent(extent)) await readSparseExtent(extent);
    }
  } finally {
    await file.close();
  }
  const info = await inspectImage(path, format, home, slice).catch((error) => {
    throw renamed(error, object);
  });
  if (guessed && info.files.length > 0) {
    throw new GodwitError('FORBIDDEN', object, {
      reason: 'it refers to other files, but its name does not say its format',
    });
  }
  return {
    ...place,
    format,
    size: info.virtualSize,
    allocated: info.allocated,
    files: [path, ...info.files],
  };
}

/**
 * Checks the structure of an image, where its format has one, and that nobody has it open for writing through qemu.
 *
 * @throws GodwitError DISK_CORRUPT, CONFLICT (in use)
 */
export async function checkImage(image: ImageFile, object: string, signal: AbortSignal): Promise<void> {
  const inUse = { reason: 'a running VM or another program has it open for writing' };
  for (const file of image.files) if (await isWrittenByQemu(file)) throw new GodwitError('CONFLICT', object, inUse);
  if (!['qcow2', 'vmdk', 'vhdx', 'vdi'].includes(image.format)) return;
  const args = ['check', '--output=json', ...imageArguments(image.path, image.format, { slice: image.slice })];
  const result = await runTool('qemu-img', args, object, { timeoutMs: 3_600_000, signal });
  const message = result.stderr.trim().split('\n').at(-1) ?? '';
  if (/Failed to get .*lock/i.test(result.stderr)) throw new GodwitError('CONFLICT', object, inUse);
  // 3: clusters leaked, nothing is wrong with the data. 63: this kind of the format has no check.
  if (result.code === 0 || result.code === 3 || result.code === 63) return;
  const counts = /"corruptions":\s*(\d+)/.exec(result.stdout)?.[1];
  const reason = counts !== undefined && counts !== '0' ? `${counts} corrupt place(s) in its tables` : message;
  throw new GodwitError('DISK_CORRUPT', object, { format: image.format, reason: reason || 'qemu-img check failed' });
}

/**
 * Checks what only reading all of an image can tell: that each grain of a packed VMDK can be unpacked and is the right one.
 * Other images have nothing of the kind.
 *
 * @throws GodwitError DISK_CORRUPT with the place, CANCELED
 */
export async function checkContent(
  image: Pick<ImageFile, 'path' | 'format' | 'slice'>,
  object: string,
  signal: AbortSignal,
): Promise<void> {
  if (image.format !== 'vmdk') return;
  const file = await openPlainFile(image.path, object);
  try {
    const { size } = await file.stat();
    const extent = { file, offset: image.slice?.offset ?? 0, length: image.slice?.length ?? size, object };
    if (await isSparseExtent(extent)) await checkGrains(extent, signal);
  } finally {
    await file.close();
  }
}

/** qemu locks one byte per permission that it holds: 100 and on; writing is the second. */
const WRITE_LOCK = 101;

/** True when a qemu on this machine may write the file. Its raw format shares that with readers, so opening tells nothing. */
async function isWrittenByQemu(path: string): Promise<boolean> {
  const { ino } = await stat(path, { bigint: true });
  const locks = await readFile('/proc/locks', 'utf8').catch(() => '');
  return locks.split('\n').some((line) => {
    const match = /OFDLCK\s+ADVISORY\s+\w+\s+-?\d+\s+\w+:\w+:(\d+)\s+(\d+)\s+(\d+|EOF)/.exec(line);
    if (match?.[1] !== String(ino)) return false;
    const end = match[3] === 'EOF' ? Number.POSITIVE_INFINITY : Number(match[3]);
    return Number(match[2]) <= WRITE_LOCK && WRITE_LOCK <= end;
  });
}

/** Names of the files that an image's own header refers to, unchecked; what cannot be read refers to nothing. */
export async function referencesOf(path: string): Promise<string[]> {
  const object = basename(path);
  const file = await openPlainFile(path, object).catch(() => null);
  if (file === null) return [];
  try {
    const { size } = await file.stat();
    const head = await readExactly(file, 0, Math.min(size, 65_536));
    if (head === null) return [];
    if (head.toString('latin1', 0, 21) === '# Disk DescriptorFile') {
      const lines = head.toString('utf8').split('\n');
      return lines.map((line) => /^\s*RW \d+ \w+ "([^"]+)"/.exec(line)?.[1]).filter((name) => name !== undefined);
    }
    if (head.length >= 20 && head.readUInt32BE(0) === 0x514649fb) {
      const at = Number(head.readBigUInt64BE(8));
      const length = head.readUInt32BE(16);
      if (at > 0 && length > 0 && length < 1024 && at + length <= head.length) {
        return [head.toString('utf8', at, at + length)];
      }
    }
    return [];
  } finally {
    await file.close();
  }
}

/** For people: path below the endpoint's folder. */
export function shown(root: string, path: string): string {
  return relative(root, path) || basename(dirname(path));
}

async function formatByContent(file: FileHandle, offset: number, length: number): Promise<ImageFormat> {
  const head = (await readExactly(file, offset, Math.min(length, 512))) ?? Buffer.alloc(0);
  if (head.length < 512) return 'raw';
  if (head.readUInt32BE(0) === 0x514649fb && head.readUInt32BE(4) >= 2) return 'qcow2';
  const text = head.toString('latin1');
  if (text.startsWith('KDMV') || text.startsWith('# Disk DescriptorFile')) return 'vmdk';
  if (text.startsWith('vhdxfile')) return 'vhdx';
  if (head.readUInt32LE(64) === 0xbeda107f) return 'vdi';
  if (text.startsWith('conectix')) return 'vpc';
  const foot = await readExactly(file, offset + length - 512, 512);
  return foot?.toString('latin1', 0, 8) === 'conectix' ? 'vpc' : 'raw';
}

const differencing = { what: 'differencing disks (they hold only what differs from a parent)' };

/** qemu reads a differencing VHD as if it had no parent: with zeroes in place of the parent's data. */
async function refuseDifferencingVhd(file: FileHandle, offset: number, length: number, object: string): Promise<void> {
  const foot = length < 512 ? null : await readExactly(file, offset + length - 512, 512);
  if (foot?.toString('latin1', 0, 8) === 'conectix' && foot.readUInt32BE(60) === 4) {
    throw new GodwitError('UNSUPPORTED', object, differencing);
  }
}

const metadataRegion = Buffer.from('06a27c8b90479a4bb8fe575f050f886e', 'hex');
const fileParameters = Buffer.from('3767a1ca36fa434db3b633f0aa44e76b', 'hex');

/** The same for VHDX: its file parameters say whether it has a parent. */
async function refuseDifferencingVhdx(file: FileHandle, offset: number, object: string): Promise<void> {
  const regions = await readExactly(file, offset + 196_608, 65_536);
  if (regions?.toString('latin1', 0, 4) !== 'regi') return;
  const region = tableEntry(regions, 16, Math.min(regions.readUInt32LE(8), 2_047), metadataRegion);
  if (region === null) return;
  const metadataAt = offset + Number(regions.readBigUInt64LE(region + 16));
  const metadata = await readExactly(file, metadataAt, 65_536);
  if (metadata?.toString('latin1', 0, 8) !== 'metadata') return;
  const entry = tableEntry(metadata, 32, Math.min(metadata.readUInt16LE(10), 2_046), fileParameters);
  if (entry === null) return;
  const parameters = await readExactly(file, metadataAt + metadata.readUInt32LE(entry + 16), 8);
  if (parameters !== null && (parameters.readUInt32LE(4) & 2) !== 0) {
    throw new GodwitError('UNSUPPORTED', object, differencing);
  }
}

/** Both tables have entries of 32 bytes that begin with a GUID. */
function tableEntry(table: Buffer, start: number, count: number, guid: Buffer): number | null {
  for (let index = 0; index < count; index++) {
    const at = start + index * 32;
    if (table.subarray(at, at + 16).equals(guid)) return at;
  }
  return null;
}

/** The same error about the thing the operator knows. */
function renamed(error: unknown, object: string): GodwitError {
  const known = GodwitError.wrap(error, 'PLATFORM_ERROR', object);
  return new GodwitError(known.code, object, known.details, { cause: error });
}
