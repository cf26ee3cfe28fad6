import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { formatByName } from '@godwit/disk';
import { GodwitError } from '@godwit/domain';
import { errorCode, statOrNull } from './connection.ts';
import { blankInfo, type DescribedDisk, type Description } from './description.ts';
import { filesOfDomain, readDomain } from './domain-read.ts';
import { openPlainFile, referencesOf } from './image-file.ts';
import { filesOfOvf, readOvf } from './ovf-read.ts';
import { readExactly, readTar, type TarMember } from './tar.ts';

/** One VM of the folder: where it is described and where its files lie. */
export interface Entry {
  /** Name in the endpoint's folder: of a sub-folder or a file. */
  id: string;
  kind: 'domain' | 'ovf' | 'ova' | 'disks';
  /** Folder of its files, absolute. */
  home: string;
  /** The description or archive, absolute; null for bare disks. */
  description: string | null;
  /** Names of bare disks in `home`; empty when there is a description. */
  disks: string[];
}

/** An entry whose description was read. */
export interface DescribedEntry extends Entry {
  described: Description;
  /** Files of the archive, for an OVA. */
  members: TarMember[];
}

const MAX_DESCRIPTION = 1_048_576;

/** All VMs of the folder, by id. Unreadable descriptions are entries too: reading them tells what is wrong. */
export async function findEntries(root: string): Promise<Entry[]> {
  const { files, folders } = await contentsOf(root);
  const entries = await entriesAmong(root, files, (file) => file);
  for (const folder of folders) {
    const entry = await entryOfFolder(root, folder);
    if (entry !== null) entries.push(entry);
  }
  return entries.sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** A sub-folder is one VM, whatever lies beside it: its first description, else all its disks. Null when it has neither. */
async function entryOfFolder(root: string, folder: string): Promise<Entry | null> {
  const home = join(root, folder);
  const inside = await contentsOf(home).catch((error) => {
    if (errorCode(error) === 'EACCES' || errorCode(error) === 'ENOENT') return { files: [], folders: [] };
    throw error;
  });
  const found = await entriesAmong(home, inside.files, () => folder);
  const described = found.find((entry) => entry.description !== null);
  if (described !== undefined) return described;
  const disks = found.flatMap((entry) => entry.disks);
  return disks.length > 0 ? { id: folder, kind: 'disks', home, description: null, disks } : null;
}

/** The entry of that id, or null. Looks into no other folder: there may be thousands. */
export async function findEntry(root: string, id: string): Promise<Entry | null> {
  if (id === '' || id.startsWith('.') || /[/\\\0]/.test(id)) return null;
  const info = await statOrNull(join(root, id));
  if (info === null || info.isSymbolicLink()) return null;
  if (info.isDirectory()) return entryOfFolder(root, id);
  const { files } = await contentsOf(root);
  return (await entriesAmong(root, files, (file) => file)).find((entry) => entry.id === id) ?? null;
}

/**
 * Reads the description; bare disks get a blank one.
 *
 * @throws GodwitError DISK_CORRUPT, UNSUPPORTED, FORBIDDEN
 */
export async function describe(entry: Entry): Promise<DescribedEntry> {
  if (entry.description === null) {
    const described = { info: blankInfo(stem(entry.id)), disks: entry.disks.map(bareDisk) };
    described.info.boot_order = [...entry.disks];
    return { ...entry, described, members: [] };
  }
  const object = label(entry);
  if (entry.kind === 'ova') {
    const { text, members } = await readArchive(entry.description, object);
    return { ...entry, described: readOvf(text, object), members };
  }
  const text = await readDescription(entry.description, object);
  const described = entry.kind === 'ovf' ? readOvf(text, object) : readDomain(text, object);
  return { ...entry, described, members: [] };
}

/** For messages. */
export function label(entry: Entry): string {
  return `VM ${entry.id}`;
}

async function contentsOf(folder: string): Promise<{ files: string[]; folders: string[] }> {
  const entries = (await readdir(folder, { withFileTypes: true })).filter((entry) => !entry.name.startsWith('.'));
  const names = (kind: 'isFile' | 'isDirectory') => entries.filter((entry) => entry[kind]()).map((entry) => entry.name);
  const collator = new Intl.Collator('en', { numeric: true });
  return { files: names('isFile').sort(collator.compare), folders: names('isDirectory').sort(collator.compare) };
}

/** A domain XML is more exact than an OVF of the same VM, which is more exact than its bare disks. */
async function entriesAmong(home: string, files: string[], idOf: (file: string) => string): Promise<Entry[]> {
  const entries: Entry[] = [];
  const claimed = new Set<string>();
  const add = (kind: Entry['kind'], file: string) =>
    entries.push({ id: idOf(file), kind, home, description: join(home, file), disks: [] });
  const claim = (read: () => string[]) => {
    try {
      for (const name of read()) claimed.add(basename(name));
    } catch (error) {
      // The entry stays: reading it will tell.
      if (!(error instanceof GodwitError)) throw error;
    }
  };
  for (const file of files.filter((name) => /\.xml$/i.test(name))) {
    const text = await readDescription(join(home, file), file).catch(() => '');
    if (!/<domain[\s>]/.test(text)) continue;
    add('domain', file);
    claimed.add(`${stem(file)}.ovf`);
    claim(() => filesOfDomain(text, file));
  }
  for (const file of files.filter((name) => /\.ovf$/i.test(name))) {
    const text = await readDescription(join(home, file), file).catch(() => '');
    claim(() => filesOfOvf(text, file));
    if (!claimed.has(file)) add('ovf', file);
  }
  for (const file of files.filter((name) => /\.ova$/i.test(name))) add('ova', file);
  const images = files.filter((name) => formatByName(name) !== null && !claimed.has(name));
  for (const image of images) {
    for (const name of await referencesOf(join(home, image))) if (basename(name) !== image) claimed.add(basename(name));
  }
  for (const image of images.filter((name) => !claimed.has(name))) {
    entries.push({ id: idOf(image), kind: 'disks', home, description: null, disks: [image] });
  }
  return entries;
}

async function readDescription(path: string, object: string): Promise<string> {
  const file = await openPlainFile(path, object);
  try {
    const { size } = await file.stat();
    if (size > MAX_DESCRIPTION) {
      throw new GodwitError('DISK_CORRUPT', object, { format: 'description', reason: 'it is too large' });
    }
    return await readFile(file, 'utf8');
  } finally {
    await file.close();
  }
}

async function readArchive(path: string, object: string): Promise<{ text: string; members: TarMember[] }> {
  const file = await openPlainFile(path, object);
  try {
    const members = await readTar(file, object);
    const ovf = members.find((member) => /\.ovf$/i.test(member.name));
    if (ovf === undefined) throw new GodwitError('DISK_CORRUPT', object, { format: 'OVA', reason: 'it has no OVF' });
    const body = ovf.length > MAX_DESCRIPTION ? null : await readExactly(file, ovf.offset, ovf.length);
    if (body === null) throw new GodwitError('DISK_CORRUPT', object, { format: 'OVA', reason: 'its OVF is too large' });
    return { text: body.toString('utf8'), members };
  } finally {
    await file.close();
  }
}

function bareDisk(name: string): DescribedDisk {
  return { id: name, file: name, format: null, capacity: null, gzip: false, device: {} };
}

function stem(name: string): string {
  return basename(name, /\.\w{1,5}$/.exec(name)?.[0] ?? '') || name;
}
