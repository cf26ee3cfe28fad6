import { promisify } from 'node:util';
import { inflate } from 'node:zlib';
import { GodwitError } from '@godwit/domain';
import { readExactly } from './tar.ts';
import { damaged, type ExtentFile, readSparseExtent, SECTOR, type SparseExtent } from './vmdk.ts';

const unpack = promisify(inflate);

/** Grains being unpacked at once: as many as there are threads for it. */
const AT_ONCE = 4;
/** Bytes before the deflate stream: sector on the disk (8), bytes of the stream (4). */
const GRAIN_HEAD = 12;
/** Kinds of the markers that are no grains, by their number: sectors that follow are told by the marker. */
const OTHER_MARKERS: ReadonlySet<number> = new Set([1, 2, 3]);
const END_OF_STREAM = 0;

/**
 * Walks through all grains of a streamOptimized extent, in the order of the file, and unpacks each: every grain must be
 * whole, say of itself where it belongs, and be the one that the tables name for that place. Extents that are not packed
 * have nothing to check.
 *
 * Reads the whole file once; memory: a few grains.
 *
 * @throws GodwitError DISK_CORRUPT with `offset` (byte of the file) and `grain`; CANCELED
 */
export async function checkGrains(extent: ExtentFile, signal: AbortSignal): Promise<void> {
  const tables = await readSparseExtent(extent);
  if (!tables.packed) return;
  const underWay = new Set<Promise<void>>();
  let failure: unknown = null;
  let found = 0;
  try {
    for await (const grain of grainsOf(extent, tables)) {
      if (signal.aborted) throw new GodwitError('CANCELED', extent.object);
      if (failure !== null) break;
      found += grain.named ? 1 : 0;
      const work: Promise<void> = checkStream(extent, tables, grain)
        .catch((error) => {
          failure ??= error;
        })
        .finally(() => underWay.delete(work));
      underWay.add(work);
      if (underWay.size >= AT_ONCE) await Promise.race(underWay);
    }
  } finally {
    await Promise.all(underWay);
  }
  if (failure !== null) throw failure;
  if (found !== tables.placed) throw await lostGrain(extent, tables);
}

interface Grain {
  number: number;
  /** Byte of its marker within the extent. */
  at: number;
  /** Bytes of its deflate stream. */
  length: number;
  /** The tables name this one for its place; another one, written later, may stand there. */
  named: boolean;
}

async function* grainsOf(extent: ExtentFile, tables: SparseExtent): AsyncGenerator<Grain> {
  let at = tables.dataStart;
  while (at + SECTOR <= extent.length) {
    const marker = await readExactly(extent.file, extent.offset + at, 16);
    if (marker === null) throw damaged(extent, at, 'a marker is cut off');
    const value = marker.readBigUInt64LE(0);
    const length = marker.readUInt32LE(8);
    if (length === 0) {
      const kind = marker.readUInt32LE(12);
      if (kind === END_OF_STREAM && value === 0n) return;
      if (!OTHER_MARKERS.has(kind) || value > BigInt(extent.length / SECTOR)) {
        throw damaged(extent, at, `no marker where one must be (kind ${kind})`);
      }
      at += SECTOR * (1 + Number(value));
      continue;
    }
    const sectors = BigInt(tables.grainSize / SECTOR);
    const number = Number(value / sectors);
    if (value % sectors !== 0n || number >= tables.grainCount) {
      throw damaged(extent, at, `a grain says that it belongs to sector ${value}, where none begins`);
    }
    // Data that cannot be packed grows by a few bytes; twice the grain is nothing that any writer makes.
    if (length > 2 * tables.grainSize || at + GRAIN_HEAD + length > extent.length) {
      throw damaged(extent, at + 8, `grain ${number} says that it is ${length} bytes long`, number);
    }
    const place = tables.placeOf(number);
    if (place === 0) throw damaged(extent, at, `grain ${number} is in the file, but no table names it`, number);
    yield { number, at, length, named: place === at };
    at += Math.ceil((GRAIN_HEAD + length) / SECTOR) * SECTOR;
  }
}

async function checkStream(extent: ExtentFile, tables: SparseExtent, grain: Grain): Promise<void> {
  const refuse = (reason: string) =>
    damaged(
      extent,
      grain.at,
      `grain ${grain.number} (disk byte ${grain.number * tables.grainSize}) ${reason}`,
      grain.number,
    );
  const packed = await readExactly(extent.file, extent.offset + grain.at + GRAIN_HEAD, grain.length);
  if (packed === null) throw refuse('is cut off');
  let bytes: Buffer;
  try {
    bytes = await unpack(packed, { maxOutputLength: tables.grainSize });
  } catch (error) {
    throw refuse(`cannot be unpacked: ${error instanceof Error ? error.message : String(error)}`);
  }
  const needed = Math.min(tables.grainSize, tables.capacity - grain.number * tables.grainSize);
  if (bytes.length < needed) throw refuse(`holds ${bytes.length} of its ${needed} bytes`);
}

/** The first grain that the tables place where the walk through the file met none. */
async function lostGrain(extent: ExtentFile, tables: SparseExtent): Promise<GodwitError> {
  const met = new Set<number>();
  for await (const { at } of grainsOf(extent, tables)) met.add(at);
  for (let number = 0; number < tables.grainCount; number++) {
    const place = tables.placeOf(number);
    if (place === 0) continue;
    if (!met.has(place))
      return damaged(extent, place, `the tables place grain ${number} where no grain begins`, number);
    const marker = await readExactly(extent.file, extent.offset + place, 8);
    const sector = Number(marker?.readBigUInt64LE(0) ?? 0n);
    if (sector * SECTOR !== number * tables.grainSize) {
      const other = (sector * SECTOR) / tables.grainSize;
      return damaged(extent, place, `the tables place grain ${number} where grain ${other} lies`, number);
    }
  }
  return damaged(extent, tables.dataStart, 'its tables name more grains than it holds');
}
