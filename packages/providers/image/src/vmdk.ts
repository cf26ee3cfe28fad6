import type { FileHandle } from 'node:fs/promises';
import { GodwitError } from '@godwit/domain';
import { readExactly } from './tar.ts';

/**
 * The tables of a sparse VMDK extent (VMware "Virtual Disk Format 5.0"), with every number checked against the file. qemu
 * believes most of them: a table entry that was lost reads as zeroes there, and one that leads elsewhere as other data.
 */
export interface SparseExtent {
  /** Bytes of a grain. */
  grainSize: number;
  grainCount: number;
  /** Bytes of the disk. */
  capacity: number;
  /** Grains are deflate streams, each behind a marker: streamOptimized. */
  packed: boolean;
  /** First byte after header, descriptor and leading tables, within the extent. */
  dataStart: number;
  /** Byte within the extent where a grain lies; 0: it has none and reads as zeroes. */
  placeOf(grain: number): number;
  /** Grains that have a place. */
  placed: number;
}

/** An extent as a part of a file. */
export interface ExtentFile {
  file: FileHandle;
  /** Bytes. */
  offset: number;
  length: number;
  /** For messages. */
  object: string;
}

export const SECTOR = 512;
const MAGIC = 'KDMV';
const ZERO_GRAINS = 4;
const COMPRESSED = 0x1_0000;
const MARKERS = 0x2_0000;
/** "The grain directory lies behind the data, see the footer." */
const AT_END = 0xffff_ffff_ffff_ffffn;
/** Grain tables of that length are all that was ever written. */
const TABLE_ENTRIES = 512;
/** Sectors: 4 KiB to 2 MiB; 64 KiB in practice. */
const MAX_GRAIN = 4_096;

/** A place in a damaged image. @param at byte within the extent */
export function damaged(extent: ExtentFile, at: number, reason: string, grain?: number): GodwitError {
  const offset = extent.offset + at;
  return new GodwitError('DISK_CORRUPT', extent.object, {
    format: 'VMDK',
    reason: `${reason} (byte ${offset} of the file)`,
    offset,
    ...(grain === undefined ? {} : { grain }),
  });
}

/** True when the bytes begin as a sparse extent; others are flat, or descriptors that name extents. */
export async function isSparseExtent({ file, offset, length }: ExtentFile): Promise<boolean> {
  const magic = length < SECTOR ? null : await readExactly(file, offset, MAGIC.length);
  return magic?.toString('latin1') === MAGIC;
}

interface Header {
  capacity: number;
  grainSectors: number;
  descriptor: { at: number; length: number };
  directory: bigint;
  overHead: number;
  packed: boolean;
  /** An entry of 1 in a table means a grain of zeroes. */
  zeroGrains: boolean;
}

/**
 * Reads header, footer, directory and tables.
 *
 * @throws GodwitError DISK_CORRUPT with `offset`: the byte of the file where it is damaged
 */
export async function readSparseExtent(extent: ExtentFile): Promise<SparseExtent> {
  const head = await readHeader(extent, 0, 'header');
  let { directory } = head;
  if (directory === AT_END) {
    const at = await footerPlace(extent);
    const footer = await readHeader(extent, at, 'footer');
    for (const field of ['capacity', 'grainSectors', 'packed', 'zeroGrains'] as const) {
      if (footer[field] !== head[field]) throw damaged(extent, at, `header and footer disagree (${field})`);
    }
    directory = footer.directory;
  }
  await checkDescriptor(extent, head);
  const grainCount = Math.ceil(head.capacity / head.grainSectors);
  const tables = await readTables(extent, directory, grainCount, head.zeroGrains);
  let placed = 0;
  for (const table of tables.values()) for (const sector of table) if (sector > 1) placed += 1;
  return {
    grainSize: head.grainSectors * SECTOR,
    grainCount,
    capacity: head.capacity * SECTOR,
    packed: head.packed,
    dataStart: head.overHead * SECTOR,
    placed,
    placeOf: (grain) => {
      const sector = tables.get(Math.floor(grain / TABLE_ENTRIES))?.[grain % TABLE_ENTRIES] ?? 0;
      // 1: known to be zero.
      return sector > 1 ? sector * SECTOR : 0;
    },
  };
}

async function readHeader(extent: ExtentFile, at: number, name: string): Promise<Header> {
  const bytes = at < 0 ? null : await readExactly(extent.file, extent.offset + at, SECTOR);
  if (bytes === null) throw damaged(extent, Math.max(at, 0), `the ${name} is cut off`);
  const refuse = (field: number, reason: string) => damaged(extent, at + field, `the ${name} is damaged: ${reason}`);
  if (bytes.toString('latin1', 0, 4) !== MAGIC) throw refuse(0, 'it does not begin with KDMV');
  const version = bytes.readUInt32LE(4);
  if (version < 1 || version > 3) throw refuse(4, `version ${version}`);
  const flags = bytes.readUInt32LE(8);
  const capacity = bytes.readBigUInt64LE(12);
  // 2^41 sectors: a PiB.
  if (capacity > 0x200_0000_0000n) throw refuse(12, `a capacity of ${capacity} sectors`);
  const grainSectors = Number(bytes.readBigUInt64LE(20));
  if (grainSectors < 8 || grainSectors > MAX_GRAIN || (grainSectors & (grainSectors - 1)) !== 0) {
    throw refuse(20, `grains of ${grainSectors} sectors`);
  }
  const entries = bytes.readUInt32LE(44);
  if (entries !== TABLE_ENTRIES) throw refuse(44, `grain tables of ${entries} entries`);
  // Set by the format to be changed by transfers in text mode.
  if (bytes.toString('latin1', 73, 77) !== '\n \r\n') throw refuse(73, 'line ends in it were converted');
  const packed = (flags & COMPRESSED) !== 0;
  const algorithm = bytes.readUInt16LE(77);
  if (packed && (flags & MARKERS) === 0) throw refuse(8, 'its grains are packed, but without markers');
  if (packed && algorithm !== 1) throw refuse(77, `compression ${algorithm}`);
  const sectors = BigInt(Math.floor(extent.length / SECTOR));
  const descriptor = { at: bytes.readBigUInt64LE(28), length: bytes.readBigUInt64LE(36) };
  if (descriptor.at + descriptor.length > sectors) throw refuse(28, 'its descriptor lies behind the end of the file');
  const overHead = bytes.readBigUInt64LE(64);
  if (overHead > sectors) throw refuse(64, 'its data begins behind the end of the file');
  return {
    capacity: Number(capacity),
    grainSectors,
    descriptor: { at: Number(descriptor.at), length: Number(descriptor.length) },
    directory: bytes.readBigUInt64LE(56),
    overHead: Number(overHead),
    packed,
    zeroGrains: (flags & ZERO_GRAINS) !== 0,
  };
}

/** Footer marker, footer, end-of-stream marker: the last three sectors. Anything behind them is not ours to judge. */
async function footerPlace(extent: ExtentFile): Promise<number> {
  const at = Math.floor(extent.length / SECTOR) * SECTOR - 3 * SECTOR;
  const marker = at < SECTOR ? null : await readExactly(extent.file, extent.offset + at, SECTOR);
  const isFooter = marker?.readBigUInt64LE(0) === 1n && marker.readUInt32LE(8) === 0 && marker.readUInt32LE(12) === 3;
  if (!isFooter) throw damaged(extent, Math.max(at, 0), 'its end is cut off or damaged: there is no footer');
  return at + SECTOR;
}

/** The embedded descriptor tells the size once more. */
async function checkDescriptor(extent: ExtentFile, head: Header): Promise<void> {
  const { at, length } = head.descriptor;
  if (at === 0 || length === 0) return;
  const bytes = await readExactly(extent.file, extent.offset + at * SECTOR, Math.min(length * SECTOR, 65_536));
  const text = bytes?.toString('latin1').split('\0', 1)[0] ?? '';
  const told = /^\s*RW\s+(\d+)\s+SPARSE\b/m.exec(text)?.[1];
  if (!text.startsWith('# Disk DescriptorFile')) throw damaged(extent, at * SECTOR, 'its descriptor is damaged');
  if (told !== undefined && Number(told) !== head.capacity) {
    throw damaged(extent, 12, `the header tells ${head.capacity} sectors, the descriptor ${told}`);
  }
  if (/^\s*createType\s*=\s*"streamOptimized"/m.test(text) !== head.packed) {
    throw damaged(extent, 8, 'header and descriptor disagree whether its grains are packed');
  }
}

/** By number of the table; those that the directory does not have are absent. */
async function readTables(
  extent: ExtentFile,
  directory: bigint,
  grains: number,
  zeroGrains: boolean,
): Promise<Map<number, Uint32Array>> {
  const sectors = Math.floor(extent.length / SECTOR);
  const count = Math.ceil(grains / TABLE_ENTRIES);
  const at = Number(directory) * SECTOR;
  const bytes =
    directory === 0n || directory >= BigInt(sectors) || at + count * 4 > extent.length
      ? null
      : await readExactly(extent.file, extent.offset + at, count * 4);
  if (bytes === null) throw damaged(extent, Math.min(at, extent.length), 'its grain directory is not in the file');
  const tables = new Map<number, Uint32Array>();
  const seen = new Set<number>();
  for (let number = 0; number < count; number++) {
    const sector = bytes.readUInt32LE(number * 4);
    if (sector === 0) continue;
    const entryAt = at + number * 4;
    const what = `entry ${number} of its grain directory`;
    if (seen.has(sector)) throw damaged(extent, entryAt, `${what} names the table of another one`);
    seen.add(sector);
    if (sector + 4 > sectors) throw damaged(extent, entryAt, `${what} leads behind the end of the file`);
    const table = await readExactly(extent.file, extent.offset + sector * SECTOR, TABLE_ENTRIES * 4);
    if (table === null) throw damaged(extent, entryAt, `${what} leads behind the end of the file`);
    const checked = checkTable(extent, number, sector * SECTOR, table, grains);
    if (!zeroGrains && checked.includes(1)) {
      throw damaged(extent, sector * SECTOR + 4 * checked.indexOf(1), 'the table places a grain in the descriptor');
    }
    tables.set(number, checked);
  }
  return tables;
}

function checkTable(extent: ExtentFile, number: number, at: number, bytes: Buffer, grains: number): Uint32Array {
  const sectors = Math.floor(extent.length / SECTOR);
  const table = new Uint32Array(TABLE_ENTRIES);
  for (let entry = 0; entry < TABLE_ENTRIES; entry++) {
    const sector = bytes.readUInt32LE(entry * 4);
    const grain = number * TABLE_ENTRIES + entry;
    if (sector >= sectors) {
      throw damaged(extent, at + entry * 4, `the table places grain ${grain} behind the end of the file`, grain);
    }
    if (sector > 1 && grain >= grains) {
      throw damaged(extent, at + entry * 4, `the table places grain ${grain}, behind the end of the disk`, grain);
    }
    table[entry] = sector;
  }
  return table;
}
