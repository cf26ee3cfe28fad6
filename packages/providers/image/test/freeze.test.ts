import { appendFile, open, readdir, readFile, rename, stat, utimes, writeFile } from 'node:fs/promises';
import { openDisk, serveImage } from '@godwit/disk';
import type { Snapshot } from '@godwit/provider';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { imageProvider } from '../src/index.ts';
import { Folder } from './folder.ts';

const MIB = 1_048_576;
const source = imageProvider.source!;
let folder: Folder;

beforeEach(async () => {
  folder = await Folder.make();
  await folder.raw('vm.raw', MIB, 0, new Uint8Array(4096).fill(1));
});
afterEach(() => folder[Symbol.asyncDispose]());

function snapshot(options: { key?: string; resume?: boolean; freeze?: string } = {}): Promise<Snapshot> {
  const { key = 'exec-1', resume = false, freeze = 'watch' } = options;
  return source.snapshot(folder.context(), { key, instance: 'vm.raw', environment: { freeze }, tokens: {}, resume });
}

async function write(name: string, offset: number, byte: number): Promise<void> {
  const file = await open(folder.at(name), 'r+');
  await file.write(new Uint8Array(512).fill(byte), 0, 512, offset);
  await file.close();
}

describe('a watched file', () => {
  const changes: { title: string; change: () => Promise<void> }[] = [
    { title: 'a write', change: () => write('vm.raw', 8192, 2) },
    { title: 'a write of the same bytes', change: () => write('vm.raw', 0, 1) },
    {
      title: 'a write whose time was set back',
      change: async () => {
        const { atime, mtime } = await stat(folder.at('vm.raw'));
        await write('vm.raw', 8192, 2);
        await utimes(folder.at('vm.raw'), atime, mtime);
      },
    },
    { title: 'growth', change: () => appendFile(folder.at('vm.raw'), 'x') },
    {
      title: 'another file under its name',
      change: async () => {
        await writeFile(folder.at('.other'), await readFile(folder.at('vm.raw')));
        await rename(folder.at('.other'), folder.at('vm.raw'));
      },
    },
    { title: 'its disappearance', change: () => rename(folder.at('vm.raw'), folder.at('gone.raw')) },
  ];

  test.each(changes)('gives the snapshot up after $title', async ({ change }) => {
    const taken = await snapshot();
    await source.check!(folder.context(), taken);
    await change();
    const lost = { code: 'SNAPSHOT_LOST', object: 'VM vm.raw (vm.raw)' };
    await expect(source.check!(folder.context(), taken)).rejects.toMatchObject(lost);
    await expect(source.open(folder.context(), taken)).rejects.toMatchObject(lost);
    await expect(snapshot({ resume: true })).rejects.toMatchObject({ code: 'SNAPSHOT_LOST' });
  });

  test('that is merely read keeps it', async () => {
    const taken = await snapshot();
    await readFile(folder.at('vm.raw'));
    await source.check!(folder.context(), taken);
    expect(await snapshot({ resume: true })).toEqual(taken);
  });

  test('that was written an instant before is still told apart from one that is written right after', async () => {
    for (let round = 0; round < 5; round++) {
      await write('vm.raw', 16_384, round);
      const taken = await snapshot({ key: `round-${round}` });
      await write('vm.raw', 16_384, round + 100);
      await expect(source.check!(folder.context(), taken)).rejects.toMatchObject({ code: 'SNAPSHOT_LOST' });
    }
  });

  test('that changed is taken anew under the same key when no copy has begun', async () => {
    const first = await snapshot();
    await write('vm.raw', 0, 9);
    const second = await snapshot();
    expect(second.takenAt >= first.takenAt).toBe(true);
    await source.check!(folder.context(), second);
  });

  test('costs no space', async () => {
    const { handle } = await snapshot();
    expect((await readdir(folder.at(String(handle.folder)))).sort()).toEqual(['.godwit.json', 'snapshot.json']);
  });
});

describe('a copied file', () => {
  test('stays as it was, holes too, whatever happens to the origin', async () => {
    const taken = await snapshot({ freeze: 'copy' });
    await write('vm.raw', 0, 9);
    await source.check!(folder.context(), taken);
    const opened = await source.open(folder.context(), taken);
    const address = opened.addresses['vm.raw']!;
    const disk = await openDisk(address);
    const bytes = new Uint8Array(512);
    await disk.read(0, bytes);
    await disk.close();
    await opened.close();
    expect(bytes.every((byte) => byte === 1)).toBe(true);
    expect(address.kind === 'file' && (await stat(address.path)).blocks * 512).toBeLessThan(MIB / 2);
  });

  test('whose copy was taken away is lost', async () => {
    const taken = await snapshot({ freeze: 'copy' });
    await rename(folder.at(String(taken.handle.folder), 'files'), folder.at('.away'));
    await expect(source.check!(folder.context(), taken)).rejects.toMatchObject({ code: 'SNAPSHOT_LOST' });
    await expect(snapshot({ resume: true, freeze: 'copy' })).rejects.toMatchObject({ code: 'SNAPSHOT_LOST' });
  });
});

test('a snapshot that was cut off in the making is made anew, unless a copy has begun from it', async () => {
  const taken = await snapshot({ freeze: 'copy' });
  await rename(folder.at(String(taken.handle.folder), 'snapshot.json'), folder.at('.away'));
  await expect(snapshot({ resume: true })).rejects.toMatchObject({ code: 'SNAPSHOT_LOST' });
  await source.check!(folder.context(), await snapshot());
});

test('a disk that a running hypervisor writes is refused', async () => {
  await using hypervisor = await serveImage({ path: folder.at('vm.raw'), format: 'raw', readOnly: false });
  expect(hypervisor.pid).toBeGreaterThan(0);
  await expect(source.validate(folder.context(), 'vm.raw', {})).rejects.toMatchObject({ code: 'CONFLICT' });
  await expect(source.shutdown(folder.context(), 'vm.raw')).rejects.toMatchObject({ code: 'CONFLICT' });
});
