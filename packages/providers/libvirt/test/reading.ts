import { type Disk, openDisk, type Range } from '@godwit/disk';
import type { OpenDisks, ProviderContext, Snapshot, TargetDisk } from '@godwit/provider';
import { libvirtProvider } from '../src/index.ts';

export const source = libvirtProvider.source!;
export const target = libvirtProvider.target!;

/** A snapshot request with the usual defaults. */
export function request(
  key: string,
  instance: string,
  tokens: Record<string, string | null> = {},
  more: { resume?: boolean; environment?: Record<string, string> } = {},
) {
  return { key, instance, tokens, resume: more.resume ?? false, environment: more.environment ?? {} };
}

/** Works with one opened disk of several, then closes all. */
export async function withDisk<T>(
  opening: Promise<OpenDisks>,
  id: string,
  work: (disk: Disk) => Promise<T>,
): Promise<T> {
  const opened = await opening;
  try {
    const disk = await openDisk(opened.addresses[id]!);
    try {
      return await work(disk);
    } finally {
      await disk.close();
    }
  } finally {
    await opened.close();
  }
}

export function changedIn(ctx: ProviderContext, snapshot: Snapshot, id: string): Promise<Range[] | null> {
  return withDisk(source.open(ctx, snapshot), id, (disk) => disk.changed(0, disk.size));
}

/** The byte at an offset of a snapshot's disk. */
export function byteIn(ctx: ProviderContext, snapshot: Snapshot, id: string, offset: number): Promise<number> {
  return withDisk(source.open(ctx, snapshot), id, async (disk) => {
    const bytes = new Uint8Array(512);
    await disk.read(offset, bytes);
    return bytes[0]!;
  });
}

/** Writes a byte over a range of a replica disk, as a copy does. */
export function fill(
  ctx: ProviderContext,
  disk: TargetDisk,
  byte: number,
  offset: number,
  length: number,
): Promise<void> {
  return withDisk(target.openDisks(ctx, [disk], false), disk.id, async (opened) => {
    await opened.write(offset, new Uint8Array(length).fill(byte));
    await opened.flush();
  });
}

export function byteOf(ctx: ProviderContext, disk: TargetDisk, offset: number): Promise<number> {
  return withDisk(target.openDisks(ctx, [disk], true), disk.id, async (opened) => {
    const bytes = new Uint8Array(512);
    await opened.read(offset, bytes);
    return bytes[0]!;
  });
}

/** All bytes of a snapshot's disk, and what it says has changed since the asked token (null: unknown). */
export interface Seen {
  bytes: Uint8Array;
  changed: Range[] | null;
}

export async function see(ctx: ProviderContext, snapshot: Snapshot, id: string): Promise<Seen> {
  const exact = snapshot.disks.find((disk) => disk.id === id)?.changes === 'exact';
  return withDisk(source.open(ctx, snapshot), id, async (disk) => {
    const bytes = new Uint8Array(disk.size);
    for (let at = 0; at < disk.size; at += PART) await disk.read(at, bytes.subarray(at, at + PART));
    return { bytes, changed: exact ? await disk.changed(0, disk.size) : null };
  });
}

const PART = 1_048_576;
const LEAF = 65_536;

/** Offsets of leaves that differ from what they were and that nobody said had changed: each is a silent loss. */
export function missedIn(before: Uint8Array, after: Seen): number[] {
  const { changed } = after;
  if (changed === null) return [];
  const missed: number[] = [];
  // Beyond the old end all is new to a copy anyway.
  for (let at = 0; at < Math.min(before.length, after.bytes.length); at += LEAF) {
    const same = Buffer.compare(before.subarray(at, at + LEAF), after.bytes.subarray(at, at + LEAF)) === 0;
    const told = changed.some(({ offset, length }) => offset <= at && at < offset + length);
    if (!same && !told) missed.push(at);
  }
  return missed;
}
