import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { listReplicaDisks, type ReplicaDisk } from '@godwit/store';
import { expect } from 'vitest';
import type { TestInstallation } from './installation.ts';

export const MIB = 1_048_576;

/** Mostly nothing, some data: what disks are like. */
export function sparseBytes(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at + 65_536 <= size; at += 4 * 65_536) randomBytes(65_536).copy(bytes, at);
  return bytes;
}

/** Changes some bytes of a disk of an instance at the source. */
export function rewrite(installation: TestInstallation, instance: string, disk: string, at: number): void {
  const file = path.join(installation.folder(`src/${instance}`), `${disk}.raw`);
  const bytes = readFileSync(file);
  randomBytes(1_000).copy(bytes, at);
  writeFileSync(file, bytes);
}

/** Where the folder provider keeps a replica disk. */
export function fileOf(disk: ReplicaDisk | undefined): string {
  const target = disk?.target as { handle: { path: string } } | null | undefined;
  if (target == null) throw new Error('there is no such disk');
  return target.handle.path;
}

const sum = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

/** Every replica disk of the transfer equals its source file, by a digest that is not the engine's. */
export async function expectEqualDisks(
  installation: TestInstallation,
  transferId: string,
  instances: string[],
  endpoint = 'src',
) {
  const rows = await listReplicaDisks(installation.db, transferId);
  for (const instance of instances) {
    const mine = rows.filter((row) => row.instance === instance);
    expect(mine.length).toBeGreaterThan(0);
    for (const row of mine) {
      const source = path.join(installation.folder(`${endpoint}/${instance}`), `${row.disk_id}.raw`);
      expect(sum(fileOf(row)), `${instance} ${row.disk_id}`).toBe(sum(source));
    }
  }
}
