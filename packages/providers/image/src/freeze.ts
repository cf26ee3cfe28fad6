import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, truncate, writeFile } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import type { ImageFormat, ImageSlice } from '@godwit/disk';
import { GodwitError } from '@godwit/domain';
import type { ProviderContext } from '@godwit/provider';
import { statOrNull } from './connection.ts';
import { copyDisk, reflink } from './copy-file.ts';
import { type DescribedEntry, label } from './entry.ts';
import type { FreezeMode } from './environment.ts';
import { checkContent, lookAtImage, openPlainFile, referencesOf } from './image-file.ts';
import type { FolderInstance, SourceDisk } from './inventory.ts';

/** Where a frozen disk is read from. */
export interface FrozenDisk {
  id: string;
  /** `origin`: below the endpoint's folder, watched; `scratch`: below the snapshot's own folder. */
  base: 'origin' | 'scratch';
  path: string;
  format: ImageFormat;
  slice: ImageSlice | null;
  /** Bytes. */
  size: number;
}

/**
 * Puts the files of an instance aside, so that nothing can change them any more.
 *
 * @param mode what is asked for; the answer tells what was done
 * @throws GodwitError UNSUPPORTED (reflink asked for and impossible), TARGET_FULL, CANCELED
 */
export async function freezeFiles(
  instance: FolderInstance,
  scratch: string,
  mode: FreezeMode,
  ctx: ProviderContext,
): Promise<Exclude<FreezeMode, 'auto'>> {
  if (mode === 'watch') return 'watch';
  const object = label(instance.entry);
  const files = imageFiles(instance);
  for (const file of files) {
    if (!(await referencesOf(file)).some((name) => isAbsolute(name))) continue;
    if (mode === 'auto') return 'watch';
    throw new GodwitError('UNSUPPORTED', object, {
      what: `freeze=${mode}, since a disk names its backing file absolutely`,
    });
  }
  for (const file of files) {
    const to = join(scratch, 'files', relative(instance.entry.home, file));
    await mkdir(dirname(to), { recursive: true });
    if (mode === 'copy') {
      await copyDisk(ctx, file, to, object);
    } else if (!(await reflink(file, to))) {
      if (mode === 'auto') return 'watch';
      throw new GodwitError('UNSUPPORTED', object, { what: 'freeze=reflink: this file system cannot share blocks' });
    }
  }
  return mode === 'auto' ? 'reflink' : mode;
}

/**
 * Where the disks are read from now; unpacks what is packed.
 *
 * @throws GodwitError DISK_CORRUPT, TARGET_FULL, CANCELED
 */
export async function frozenDisks(
  instance: FolderInstance,
  root: string,
  scratch: string,
  mode: Exclude<FreezeMode, 'auto'>,
  signal: AbortSignal,
): Promise<FrozenDisk[]> {
  const { home } = instance.entry;
  const place = (path: string) =>
    mode === 'watch'
      ? { base: 'origin' as const, path: relative(root, path) }
      : { base: 'scratch' as const, path: join('files', relative(home, path)) };
  const frozen: FrozenDisk[] = [];
  for (const [index, disk] of instance.disks.entries()) {
    if (disk.image !== null) {
      const { path, format, slice = null } = disk.image;
      frozen.push({ id: disk.id, ...place(path), format, slice, size: disk.size });
      continue;
    }
    const name = `unpacked-${index}`;
    const format = await unpack(disk, join(scratch, name), instance.entry, signal);
    frozen.push({ id: disk.id, base: 'scratch', path: name, format, slice: null, size: disk.size });
  }
  return frozen;
}

/** Compares the files with the checksums that the exporter wrote beside the OVF. @throws GodwitError DISK_CORRUPT */
export async function checkManifest(instance: FolderInstance, signal: AbortSignal): Promise<void> {
  const { entry } = instance;
  const parts = await manifestParts(entry);
  if (parts === null) return;
  for (const line of parts.text.split(/\r?\n/)) {
    const match = /^\s*(SHA1|SHA256|SHA512)\s*\(([^)]+)\)\s*=\s*([0-9a-f]+)\s*$/i.exec(line);
    const [, algorithm, name, digest] = match ?? [];
    if (algorithm === undefined || name === undefined || digest === undefined) continue;
    const part = parts.find(name);
    if (part === null) continue;
    const hash = createHash(algorithm.toLowerCase());
    const end = part.length === null ? {} : { end: part.offset + part.length - 1 };
    if (part.length !== 0) {
      await pipeline(createReadStream(part.path, { start: part.offset, ...end }), hash, { signal }).catch((error) => {
        throw signal.aborted ? new GodwitError('CANCELED', label(entry)) : error;
      });
    }
    if (hash.digest('hex') === digest.toLowerCase()) continue;
    throw new GodwitError('DISK_CORRUPT', `${name} of ${label(entry)}`, {
      format: 'OVF package',
      reason: `its ${algorithm.toUpperCase()} is not the one in the manifest`,
    });
  }
}

interface Part {
  path: string;
  offset: number;
  length: number | null;
}

async function manifestParts(
  entry: DescribedEntry,
): Promise<{ text: string; find: (name: string) => Part | null } | null> {
  if (entry.description === null) return null;
  const archive = entry.description;
  if (entry.kind === 'ova') {
    const find = (name: string) => {
      const member = entry.members.find((candidate) => candidate.name === name);
      return member ? { path: archive, offset: member.offset, length: member.length } : null;
    };
    const manifest = entry.members.find((member) => /\.mf$/i.test(member.name));
    if (manifest === undefined) return null;
    return { text: await textOf(archive, manifest.offset, manifest.length), find };
  }
  const path = archive.replace(/\.\w+$/, '.mf');
  const info = entry.kind === 'ovf' ? await statOrNull(path) : null;
  if (!info?.isFile()) return null;
  const known = new Set([archive, ...entry.described.disks.map((disk) => join(entry.home, disk.file ?? ''))]);
  const find = (name: string) => {
    const file = join(entry.home, basename(name));
    return known.has(file) ? { path: file, offset: 0, length: null } : null;
  };
  return { text: await textOf(path, 0, info.size), find };
}

async function textOf(path: string, offset: number, length: number): Promise<string> {
  const file = await openPlainFile(path, basename(path));
  try {
    const buffer = Buffer.alloc(Math.min(length, 1_048_576));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}

/** Files that hold bytes of disks; the description is no part of them, unless it is the archive. */
function imageFiles(instance: FolderInstance): string[] {
  const files = instance.disks.flatMap(({ image, packed }) => (packed === null ? (image?.files ?? []) : []));
  return [...new Set(files)];
}

async function unpack(disk: SourceDisk, to: string, entry: DescribedEntry, signal: AbortSignal): Promise<ImageFormat> {
  const object = `disk ${disk.id} of ${label(entry)}`;
  try {
    await writeFile(to, '');
    if (disk.packed !== null) {
      const { path, offset, length } = disk.packed;
      const input = createReadStream(path, {
        start: offset,
        ...(length === Number.MAX_SAFE_INTEGER ? {} : { end: offset + length - 1 }),
      });
      const output = createWriteStream(to, { flush: true });
      if (disk.raw === 'gzip') await pipeline(input, createGunzip(), limitTo(disk.size, object), output, { signal });
      else await pipeline(input, output, { signal });
    }
  } catch (error) {
    if (signal.aborted) throw new GodwitError('CANCELED', object);
    if (error instanceof Error && 'code' in error && error.code === 'ENOSPC')
      throw new GodwitError('TARGET_FULL', object);
    throw GodwitError.wrap(error, 'DISK_CORRUPT', object, { format: 'gzip' });
  }
  if (disk.raw === 'blank') await truncate(to, disk.size);
  if (disk.raw !== 'gzip') return 'raw';
  const image = await lookAtImage(to, dirname(to), disk.described.format, object);
  if (image.size !== disk.size || image.files.length > 1) {
    const reason = `it holds ${image.size} bytes where its description says ${disk.size}`;
    throw new GodwitError('DISK_CORRUPT', object, { format: 'gzip', reason });
  }
  await checkContent(image, object, signal);
  return image.format;
}

/** Ends a stream that grows beyond any image of a disk of that size: a few bytes of gzip can fill a file system. */
function limitTo(size: number, object: string) {
  const limit = size + size / 8 + 67_108_864;
  return async function* (chunks: AsyncIterable<Buffer>) {
    let total = 0;
    for await (const chunk of chunks) {
      total += chunk.length;
      if (total > limit) {
        const reason = `it unpacks to far more than the ${size} bytes its description says`;
        throw new GodwitError('DISK_CORRUPT', object, { format: 'gzip', reason });
      }
      yield chunk;
    }
  };
}
