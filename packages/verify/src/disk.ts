import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { blake3 } from './blake3.ts';

export const formats = ['raw', 'qcow2', 'vmdk', 'vhdx', 'vpc'] as const;
export type Format = (typeof formats)[number];

/** Why a disk cannot be what the receipt is about. */
export class BadDisk extends Error {}

/** Why nothing was looked at: neither proven nor refuted. */
export class Unread extends Error {}

/** How far a reader is: bytes done of all. */
export type Progress = (done: number, size: number) => void;

/**
 * The leaf digests of the first `size` bytes of a disk, 32 bytes per leaf.
 *
 * @throws BadDisk when it is shorter; Unread when it cannot be read
 */
export function leafDigests(
  file: string,
  format: Format,
  size: number,
  leafSize: number,
  progress: Progress,
): Uint8Array {
  if (format !== 'raw') return throughRaw(file, format, (raw) => leafDigests(raw, 'raw', size, leafSize, progress));
  const fd = open(file);
  try {
    const digests = new Uint8Array(Math.ceil(size / leafSize) * 32);
    const leaf = Buffer.alloc(leafSize);
    const zeroes = Buffer.alloc(leafSize);
    const zeroDigest = blake3(zeroes);
    for (let offset = 0, at = 0; offset < size; offset += leafSize, at += 32) {
      const length = Math.min(leafSize, size - offset);
      readWhole(fd, file, leaf, length, offset);
      const whole = length === leafSize;
      digests.set(whole && leaf.equals(zeroes) ? zeroDigest : blake3(leaf.subarray(0, length)), at);
      progress(offset + length, size);
    }
    return digests;
  } finally {
    closeSync(fd);
  }
}

/** What the first bytes say. A raw disk of a hostile guest may lie: then the format is given by hand. */
export function guessFormat(file: string): Format {
  const fd = open(file);
  try {
    const head = Buffer.alloc(8);
    readSync(fd, head, 0, 8, 0);
    const text = head.toString('latin1');
    if (text.startsWith('QFI\xfb')) return 'qcow2';
    if (text.startsWith('KDMV') || text.startsWith('COWD')) return 'vmdk';
    if (text === 'vhdxfile') return 'vhdx';
    if (text === 'conectix') return 'vpc';
    return 'raw';
  } finally {
    closeSync(fd);
  }
}

function open(file: string): number {
  try {
    if (statSync(file).isDirectory()) throw new Error('it is a folder');
    return openSync(file, 'r');
  } catch (error) {
    throw new Unread(`${file} cannot be opened: ${(error as Error).message}`);
  }
}

function readWhole(fd: number, file: string, into: Buffer, length: number, offset: number): void {
  for (let got = 0; got < length; ) {
    const count = readSync(fd, into, got, length - got, offset + got);
    if (count === 0) throw new BadDisk(`${file} ends at byte ${offset + got}: it is shorter than the receipt's disk`);
    got += count;
  }
}

/** qemu-img turns other formats into a sparse raw file in the temporary folder, removed at the end. */
function throughRaw<T>(file: string, format: Format, use: (raw: string) => T): T {
  const folder = mkdtempSync(path.join(tmpdir(), 'godwit-verify-'));
  try {
    const raw = path.join(folder, 'disk.raw');
    const run = spawnSync('qemu-img', ['convert', '-f', format, '-O', 'raw', '--', file, raw], { encoding: 'utf8' });
    if (run.error) throw new Unread(`${format} disks need qemu-img (Debian: qemu-utils): ${run.error.message}`);
    if (run.status !== 0) throw new Unread(`qemu-img cannot read ${file} as ${format}: ${run.stderr.trim()}`);
    return use(raw);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
