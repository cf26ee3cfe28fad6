import { readFile, rm, writeFile } from 'node:fs/promises';
import { GodwitError } from '@godwit/domain';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Folder, ovf } from './folder.ts';
import { readAll } from './reading.ts';
import { streamVmdk } from './stream-vmdk.ts';

const SIZE = 40 * 1_048_576;
const GRAIN = 65_536;
let folder: Folder;

beforeEach(async () => {
  folder = await Folder.make();
});
afterEach(() => folder[Symbol.asyncDispose]());

/** Two grain tables, a partial last grain, holes. */
function diskBytes(): Buffer {
  const disk = Buffer.alloc(SIZE + 1_536);
  for (const [grain, byte] of [3, 4, 200, 511, 512, 630, 640].entries()) {
    const at = byte * GRAIN;
    for (let i = at; i < Math.min(at + GRAIN, disk.length); i++) disk[i] = (i * 31 + (i >> 7) * (grain + 5)) & 0xff;
  }
  return disk;
}

const disk = diskBytes();
const whole = streamVmdk(disk);

const at = (number: number) => whole.grains.get(number)!;
const entryOf = (number: number) => whole.tables.get(Math.floor(number / 512))! + (number % 512) * 4;

/** The bytes with something wrong, or other bytes. */
type Damage = (bytes: Buffer) => Buffer;

const put = (value: number, place: number): Damage => {
  return (bytes) => {
    bytes.writeUInt32LE(value, place);
    return bytes;
  };
};
const blank = (from: number, to: number): Damage => {
  return (bytes) => bytes.fill(0, from, to);
};
const move = (from: number, to: number, length: number): Damage => {
  return (bytes) => bytes.copyWithin(to, from, from + length);
};
const flip = (place: number, bits: number): Damage => {
  return (bytes) => bytes.fill((bytes[place] ?? 0) ^ bits, place, place + 1);
};
const cut = (length: number): Damage => {
  return (bytes) => bytes.subarray(0, length);
};

/** Reads the damaged disk as a run would. Null: that went well, and the disk is what it was. */
async function outcome(damage: Damage): Promise<GodwitError | null> {
  await writeFile(folder.at('d.vmdk'), damage(Buffer.from(whole.bytes)));
  let read: Record<string, Uint8Array>;
  try {
    read = await readAll(folder, 'd.vmdk');
  } catch (error) {
    if (error instanceof GodwitError) return error;
    throw error;
  }
  expect(disk.equals(read['d.vmdk']!)).toBe(true);
  return null;
}

test('a streamOptimized VMDK as VMware writes it is read whole', async () => {
  expect(await outcome((bytes) => bytes)).toBeNull();
});

describe('a damaged streamOptimized VMDK is refused before a byte is copied, with file, byte and grain:', () => {
  const cases: [what: string, damage: Damage, place: { offset: number; grain?: number }][] = [
    ['the header is overwritten', blank(4, 64), { offset: 4 }],
    ['the header tells another size', put(81_920, 12), { offset: whole.footer }],
    ['line ends were converted', blank(75, 76), { offset: 73 }],
    ['the header calls it unpacked', put(1, 8), { offset: whole.footer }],
    ['the descriptor is gone', blank(whole.descriptor, 1024), { offset: whole.descriptor }],
    ['the footer is cut off', cut(whole.footer), { offset: whole.footer - 1536 }],
    ['half of it is missing', cut(70_000), { offset: 136 * 512 - 1536 }],
    ['the directory lost a table', put(0, whole.directory + 4), { offset: at(512), grain: 512 }],
    [
      'the directory names a table twice',
      move(whole.directory, whole.directory + 4, 4),
      { offset: whole.directory + 4 },
    ],
    ['the directory leads elsewhere', put(0x7fff_ffff, whole.directory), { offset: whole.directory }],
    ['the directory lies elsewhere', put(0x7fff_ffff, whole.footer + 56), { offset: whole.bytes.length }],
    ['a table lost a grain', put(0, entryOf(4)), { offset: at(4), grain: 4 }],
    ['a table names another grain', put(at(4) / 512, entryOf(200)), { offset: at(4), grain: 200 }],
    ['a table leads into a grain', put(at(4) / 512 + 1, entryOf(4)), { offset: at(4) + 512, grain: 4 }],
    ['a table leads behind the end', put(99_999, entryOf(511)), { offset: entryOf(511), grain: 511 }],
    ['a table places a grain that there is not', put(at(4) / 512, entryOf(641)), { offset: entryOf(641), grain: 641 }],
    ['a grain says that it belongs elsewhere', put(5 * 128, at(4)), { offset: at(4), grain: 5 }],
    ['a grain is of no length', put(0, at(4) + 8), { offset: at(4) }],
    ['a grain is too long', put(200_000, at(4) + 8), { offset: at(4) + 8, grain: 4 }],
    ['a bit of a deflate stream flipped', flip(at(511) + 300, 4), { offset: at(511), grain: 511 }],
    ['a deflate stream ends early', blank(at(3) + 100, at(3) + 1000), { offset: at(3), grain: 3 }],
    ['a grain says that it is another one', put(512 * 128, at(630)), { offset: at(630), grain: 630 }],
  ];

  test.each(cases)('%s', async (_what, damage, place) => {
    const error = await outcome(damage);
    expect(error).toMatchObject({
      code: 'DISK_CORRUPT',
      object: 'disk d.vmdk of VM d.vmdk (d.vmdk)',
      details: { format: 'VMDK', ...place },
    });
    expect(error?.message).toContain(`byte ${place.offset} of the file`);
  });

  test('whatever byte of its tables and markers is changed, it is refused or reads as it was', async () => {
    const places = [
      ...[8, 13, 21, 36, 57, 77].flatMap((field) => [field, whole.footer + field]),
      ...[3, 512].flatMap((number) => [at(number) + 1, at(number) + 12, entryOf(number)]),
      ...[whole.directory, whole.directory + 5, entryOf(100), whole.tables.get(0)! - 512, whole.bytes.length - 500],
    ];
    let refused = 0;
    for (const place of places) {
      const error = await outcome(flip(place, 1 << (place % 8)));
      if (error === null) continue;
      expect(['DISK_CORRUPT', 'UNSUPPORTED'], `byte ${place}`).toContain(error.code);
      refused += 1;
    }
    expect(refused).toBeGreaterThan(places.length / 2);
  });
});

test('a damaged grain within an archive is named by its byte of the archive', async () => {
  await writeFile(folder.at('d.vmdk'), flip(at(200) + 40, 1)(Buffer.from(whole.bytes)));
  await folder.write('web.ovf', ovf('web', [{ id: 'd', href: 'd.vmdk', capacity: disk.length }]));
  await folder.ova('web.ova', ['web.ovf', 'd.vmdk']);
  await rm(folder.at('web.ovf'));
  const start = (await readFile(folder.at('web.ova'))).indexOf('KDMV');
  await expect(readAll(folder, 'web.ova')).rejects.toMatchObject({
    code: 'DISK_CORRUPT',
    object: 'disk d of VM web.ova (web.ova: d.vmdk)',
    details: { offset: start + at(200), grain: 200 },
  });
});
