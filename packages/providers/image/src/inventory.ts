import { statfs } from 'node:fs/promises';
import { formatByName, type ImageFormat } from '@godwit/disk';
import {
  GodwitError,
  type InstanceInfo,
  type InstanceSummary,
  type Network,
  type StorageBackend,
} from '@godwit/domain';
import { checkInput, type InstanceQuery, type ProviderContext } from '@godwit/provider';
import { openFolder, pathWithin } from './connection.ts';
import type { DescribedDisk } from './description.ts';
import { type DescribedEntry, describe, type Entry, findEntries, findEntry, label } from './entry.ts';
import { type BareDefaults, sourceEnvironmentSchema } from './environment.ts';
import { type ImageFile, lookAtImage, shown } from './image-file.ts';

/** A disk of an instance and the bytes behind it. */
export interface SourceDisk {
  id: string;
  /** For messages: disk, VM and file. */
  label: string;
  /** Bytes. */
  size: number;
  /** Null: the bytes must be unpacked or made first; see `raw`. */
  image: ImageFile | null;
  /** `blank`: no file, all zeroes; `gzip`: packed; `cut`: a member whose length qemu cannot address. */
  raw: 'blank' | 'gzip' | 'cut' | null;
  /** File and part of it that a packed or cut disk is made of. */
  packed: { path: string; offset: number; length: number } | null;
  described: DescribedDisk;
}

/** An instance with all that is needed to read it. */
export interface FolderInstance {
  entry: DescribedEntry;
  info: InstanceInfo;
  disks: SourceDisk[];
  /** All files it consists of, absolute. */
  files: string[];
}

/** The only storage backend: the folder itself. */
export const folderBackend = 'folder';

export async function listInstances(ctx: ProviderContext, query: InstanceQuery): Promise<InstanceSummary[]> {
  const root = await openFolder(ctx);
  const defaults = checkInput(sourceEnvironmentSchema, query.environment, 'source_environment');
  const found: InstanceSummary[] = [];
  const wanted = query.name?.toLowerCase();
  let seen = query.marker === undefined;
  for (const entry of await findEntries(root)) {
    if (ctx.signal.aborted) throw new GodwitError('CANCELED', ctx.endpoint);
    if (found.length >= (query.limit ?? Number.POSITIVE_INFINITY)) break;
    if (!seen) {
      // By order, not by finding it: the marked one may have gone since.
      seen = query.marker !== undefined && entry.id >= query.marker;
      if (!seen || entry.id === query.marker) continue;
    }
    const summary = await summarize(entry, defaults);
    if (wanted === undefined || summary.name.toLowerCase().includes(wanted)) found.push(summary);
  }
  return found;
}

/**
 * Looks at an instance and all its disks.
 *
 * @param id id or unique name
 * @throws GodwitError NOT_FOUND, CONFLICT (name not unique), DISK_CORRUPT, FORBIDDEN, UNSUPPORTED
 */
export async function loadInstance(
  ctx: ProviderContext,
  id: string,
  environment: ProviderContext['connectionInfo'],
): Promise<FolderInstance> {
  const root = await openFolder(ctx);
  const defaults = checkInput(sourceEnvironmentSchema, environment, 'source_environment');
  const entry = await describe((await findEntry(root, id)) ?? (await entryByName(root, id, defaults)));
  const disks: SourceDisk[] = [];
  for (const disk of entry.described.disks) {
    if (ctx.signal.aborted) throw new GodwitError('CANCELED', ctx.endpoint);
    disks.push(await lookAtDisk(root, entry, disk));
  }
  const { info } = entry.described;
  const own = new Set(entry.description === null ? [] : [entry.description]);
  for (const { image, packed } of disks) {
    for (const file of image?.files ?? []) own.add(file);
    if (packed !== null) own.add(packed.path);
  }
  return {
    entry,
    disks,
    files: [...own],
    info: {
      ...info,
      ...(entry.description === null ? filled(defaults) : {}),
      id: entry.id,
      devices: {
        ...info.devices,
        disks: disks.map((disk) => ({
          ...disk.described.device,
          id: disk.id,
          size_bytes: disk.size,
          format: disk.image?.format ?? 'raw',
          path: disk.described.file,
          storage_backend_identifier: folderBackend,
          allocation_type: disk.image !== null && disk.image.allocated >= disk.size ? 'static' : 'dynamic',
        })),
      },
    },
  };
}

/** Names that the descriptions in the folder use. */
export async function listNetworks(ctx: ProviderContext): Promise<Network[]> {
  const root = await openFolder(ctx);
  const names = new Set<string>();
  for (const entry of await findEntries(root)) {
    const described = await describe(entry).catch(() => null);
    for (const nic of described?.described.info.devices.nics ?? []) if (nic.network_name) names.add(nic.network_name);
  }
  return [...names].sort().map((name) => ({ id: name, name }));
}

export async function listStorage(ctx: ProviderContext): Promise<StorageBackend[]> {
  const root = await openFolder(ctx);
  const { bavail, bsize } = await statfs(root);
  return [{ id: folderBackend, name: folderBackend, available_bytes: bavail * bsize }];
}

async function summarize(entry: Entry, defaults: BareDefaults): Promise<InstanceSummary> {
  const described = await describe(entry).catch((error) => {
    if (error instanceof GodwitError) return null;
    throw error;
  });
  // One unreadable file must not hide the others; opening it tells what is wrong.
  const info = described?.described.info ?? {
    name: entry.id,
    num_cpu: 1,
    memory_mb: 1024,
    os_type: 'unknown' as const,
  };
  return {
    id: entry.id,
    name: info.name,
    num_cpu: info.num_cpu,
    memory_mb: info.memory_mb,
    os_type: info.os_type,
    ...('firmware_type' in info ? { firmware_type: info.firmware_type } : {}),
    ...(entry.description === null ? filled(defaults) : {}),
  };
}

function filled(defaults: BareDefaults): Pick<InstanceInfo, 'num_cpu' | 'memory_mb' | 'firmware_type' | 'os_type'> {
  return {
    num_cpu: defaults.num_cpu ?? 1,
    memory_mb: defaults.memory_mb ?? 1024,
    firmware_type: defaults.firmware_type ?? 'BIOS',
    os_type: defaults.os_type ?? 'unknown',
  };
}

async function entryByName(root: string, name: string, defaults: BareDefaults): Promise<Entry> {
  const named: Entry[] = [];
  for (const entry of await findEntries(root)) {
    if ((await summarize(entry, defaults)).name === name) named.push(entry);
  }
  const [only] = named;
  if (only === undefined) throw new GodwitError('NOT_FOUND', `VM ${name}`);
  if (named.length > 1) {
    const ids = named.map((entry) => entry.id).join(', ');
    throw new GodwitError('CONFLICT', `VM ${name}`, { reason: `several have this name; use one of the ids ${ids}` });
  }
  return only;
}

async function lookAtDisk(root: string, entry: DescribedEntry, disk: DescribedDisk): Promise<SourceDisk> {
  const object = `disk ${disk.id} of ${label(entry)}`;
  const common = { id: disk.id, described: disk };
  if (disk.file === null) {
    return { ...common, label: object, size: disk.capacity ?? 0, image: null, raw: 'blank', packed: null };
  }
  const place = await placeOf(entry, disk.file, object);
  const named = `${object} (${shown(root, place.path)}${place.slice === undefined ? '' : `: ${disk.file}`})`;
  const base = { ...common, label: named };
  if (disk.gzip) {
    if (disk.capacity === null) throw new GodwitError('UNSUPPORTED', object, { what: 'a packed disk of unknown size' });
    const packed = { path: place.path, ...(place.slice ?? { offset: 0, length: Number.MAX_SAFE_INTEGER }) };
    return { ...base, size: disk.capacity, image: null, raw: 'gzip', packed };
  }
  const stated = disk.format ?? (place.slice === undefined ? null : formatOfMember(disk.file));
  const image = await lookAtImage(place.path, entry.home, stated, named, place.slice);
  if (place.slice !== undefined && image.format === 'raw' && place.slice.length % 512 !== 0) {
    return { ...base, size: image.size, image: null, raw: 'cut', packed: { path: place.path, ...place.slice } };
  }
  return { ...base, size: image.size, image, raw: null, packed: null };
}

async function placeOf(
  entry: DescribedEntry,
  name: string,
  object: string,
): Promise<{ path: string; slice?: { offset: number; length: number } }> {
  if (entry.kind !== 'ova') return { path: await pathWithin(entry.home, decoded(name), object) };
  const member = entry.members.find((candidate) => candidate.name === name || candidate.name === decoded(name));
  if (member === undefined || entry.description === null) {
    throw new GodwitError('DISK_CORRUPT', object, { format: 'OVA', reason: `"${name}" is not in the archive` });
  }
  return { path: entry.description, slice: { offset: member.offset, length: member.length } };
}

/** The name of a member decides as the name of a file would: `.img` may be anything. */
function formatOfMember(name: string): ImageFormat | null {
  return /\.img$/i.test(name) ? null : formatByName(name);
}

/** OVF names files by URI; many write plain names. */
function decoded(name: string): string {
  try {
    return decodeURIComponent(name.replace(/^file:\/\//, ''));
  } catch (error) {
    if (error instanceof URIError) return name;
    throw error;
  }
}
