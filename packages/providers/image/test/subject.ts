import { mkdir, open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ConformanceSubject, SubjectInstance } from '@godwit/provider/conformance';
import type { Folder } from './folder.ts';

const MIB = 1_048_576;

/** A folder with a VM of two raw disks, one of them of an odd size. */
export function imageSubject(folder: Folder): ConformanceSubject {
  return {
    makeInstance: () => makeInstance(folder),
    listEverything: async () => {
      const entries = await readdir(folder.path, { recursive: true, withFileTypes: true });
      return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    },
    wrongCredentials: async () => 'a folder has no credentials',
    unreachable: async () => ({ path: folder.at('no', 'such', 'folder') }),
    unowned: async () => [
      {
        id: 'a',
        kind: 'instance',
        name: 'guest',
        handle: { folder: 'guest', key: 'check' },
      },
      {
        id: 'b',
        kind: 'disk',
        name: 'guest/idle.raw',
        handle: { path: 'guest/idle.raw', format: 'raw', key: 'check' },
      },
      {
        id: 'c',
        kind: 'snapshot',
        name: 'guest',
        handle: { folder: 'guest', key: 'check', place: 'endpoint' },
      },
      {
        id: 'd',
        kind: 'disk',
        name: 'elsewhere',
        handle: { path: '../work/x.raw', format: 'raw', key: 'check' },
      },
    ],
  };
}

async function makeInstance(folder: Folder): Promise<SubjectInstance> {
  await mkdir(folder.at('guest'), { recursive: true });
  const bytes = new Uint8Array(131_072).fill(0x5a);
  await folder.raw('guest/idle.raw', 6 * MIB, MIB, bytes);
  await folder.raw('guest/odd.raw', 4 * MIB + 777, 2 * MIB, bytes);
  await folder.raw('other.raw', MIB, 0, bytes);
  await folder.raw('third.img', MIB, 0, bytes);
  return {
    id: 'guest',
    name: 'guest',
    disks: [
      { id: 'idle.raw', size: (await readFile(folder.at('guest/idle.raw'))).length, known: { offset: MIB, bytes } },
      { id: 'odd.raw', size: (await readFile(folder.at('guest/odd.raw'))).length, known: { offset: 2 * MIB, bytes } },
    ],
    write: async (disk, offset, data) => {
      const file = await open(folder.at('guest', disk), 'r+');
      try {
        await file.write(data, 0, data.length, offset);
      } finally {
        await file.close();
      }
    },
  };
}
