import { closeSync, fsyncSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import path from 'node:path';
import { between, fill, type Random } from './random.ts';

const MiB = 1_048_576;
const LEAF = 65_536;

/** A disk of the root test: raw file, size in bytes, how it is filled at first and what each later round writes. */
export interface TestDisk {
  name: string;
  size: number;
  make: (fd: number, random: Random) => unknown;
  /** Bytes written by one round, as leaves touched times the leaf size. */
  change: (fd: number, random: Random) => number;
}

function writeRun(fd: number, random: Random, offset: number, length: number): void {
  const buffer = fill(random, Buffer.alloc(Math.min(length, MiB)));
  for (let done = 0; done < length; done += buffer.length) {
    writeSync(fd, buffer, 0, Math.min(buffer.length, length - done), offset + done);
    buffer.writeUInt32LE((buffer.readUInt32LE(0) + 1) >>> 0, 0); // no two MiB are the same
  }
}

const nothing = (): number => 0;

/** Six disks: one empty, one idle, one small and odd-sized, one fully written, one sparse, one with 1 % random change. */
export function sixDisks(scale: number): TestDisk[] {
  const full = Math.round(96 * scale) * MiB;
  const sparse = Math.round(1024 * scale) * MiB;
  const busy = Math.round(128 * scale) * MiB;
  return [
    { name: 'a-empty', size: 64 * MiB, make: nothing, change: nothing },
    {
      name: 'b-idle',
      size: 32 * MiB,
      make: (fd, random) => writeRun(fd, random, 3 * MiB, 11 * MiB),
      change: nothing,
    },
    {
      // Neither a multiple of the leaf nor of a sector's power of two above 512: the last leaf is short.
      name: 'c-odd',
      size: 4 * MiB + 512,
      make: (fd, random) => writeRun(fd, random, 0, 4 * MiB + 512),
      change: (fd, random) => {
        writeRun(fd, random, 4 * MiB, 512);
        return LEAF;
      },
    },
    {
      name: 'd-full',
      size: full,
      make: (fd, random) => writeRun(fd, random, 0, full),
      change: (fd, random) => {
        // A long run, some of it overwritten with zeroes: what was data must become zero.
        const at = between(random, 0, full / LEAF - 96) * LEAF;
        writeRun(fd, random, at, 48 * LEAF);
        writeSync(fd, Buffer.alloc(48 * LEAF), 0, 48 * LEAF, at + 48 * LEAF);
        return 96 * LEAF;
      },
    },
    {
      name: 'e-sparse',
      size: sparse,
      make: (fd, random) => {
        for (let i = 0; i < 24; i += 1) {
          const length = between(random, 1, 32) * LEAF;
          writeRun(fd, random, between(random, 0, sparse / LEAF - 32) * LEAF, length);
        }
      },
      change: (fd, random) => {
        const length = between(random, 1, 64) * LEAF;
        writeRun(fd, random, between(random, 0, sparse / LEAF - 64) * LEAF, length);
        return length;
      },
    },
    {
      name: 'f-busy',
      size: busy,
      make: (fd, random) => writeRun(fd, random, 0, busy / 2),
      change: (fd, random) => {
        const leaves = Math.ceil(busy / LEAF / 100);
        for (let i = 0; i < leaves; i += 1) {
          writeRun(fd, random, between(random, 0, busy / LEAF) * LEAF + between(random, 0, 15) * 4096, 4096);
        }
        return leaves * LEAF;
      },
    },
  ];
}

/** Writes the disks of one instance as `FOLDER/NAME.raw`. */
export function makeDisks(folder: string, disks: TestDisk[], random: Random): string[] {
  return disks.map((disk) => {
    const file = path.join(folder, `${disk.name}.raw`);
    const fd = openSync(file, 'w+');
    ftruncateSync(fd, disk.size);
    disk.make(fd, random);
    fsyncSync(fd);
    closeSync(fd);
    return file;
  });
}

/** One round of changes in each disk; returns the bytes of the leaves touched, all disks together, at most. */
export function changeDisks(folder: string, disks: TestDisk[], random: Random): number {
  let touched = 0;
  for (const disk of disks) {
    const fd = openSync(path.join(folder, `${disk.name}.raw`), 'r+');
    touched += disk.change(fd, random);
    fsyncSync(fd);
    closeSync(fd);
  }
  return touched;
}
