import { openDisk } from '@godwit/disk';
import type { JsonObject } from '@godwit/domain';
import { imageProvider } from '../src/index.ts';
import type { Folder } from './folder.ts';

const source = imageProvider.source!;

/** Every disk of an instance, whole, as a run would read it: snapshot, open, read, check, release. */
export async function readAll(
  folder: Folder,
  instance: string,
  environment: JsonObject = {},
): Promise<Record<string, Uint8Array>> {
  const ctx = folder.context();
  const snapshot = await source.snapshot(ctx, { key: 'read', instance, environment, tokens: {}, resume: false });
  try {
    const opened = await source.open(ctx, snapshot);
    try {
      const found: Record<string, Uint8Array> = {};
      for (const { id, size } of snapshot.disks) {
        const disk = await openDisk(opened.addresses[id]!);
        found[id] = new Uint8Array(size);
        await disk.read(0, found[id]);
        await disk.close();
      }
      await source.check!(ctx, snapshot);
      return found;
    } finally {
      await opened.close();
    }
  } finally {
    await source.release(ctx, snapshot, false);
  }
}

/** Bytes that look like a disk: text here, noise there, nothing between. */
export function diskBytes(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  bytes.fill(0x41, 0, 4096);
  for (let at = 131_072; at < Math.min(size, 400_000); at++) bytes[at] = (at * 31 + (at >> 8) * 7) & 0xff;
  bytes.fill(0x7e, size - 700);
  return bytes;
}
