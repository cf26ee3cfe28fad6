import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findEntries, findEntry } from '../src/entry.ts';
import { imageProvider } from '../src/index.ts';
import { Folder, ovf } from './folder.ts';

const MIB = 1_048_576;
/** More than what a process reads by itself meanwhile. */
const NEIGHBOURS = 500;

let folder: Folder;
beforeEach(async () => {
  folder = await Folder.make();
});
afterEach(() => folder[Symbol.asyncDispose]());

/** Reads that this process has asked the kernel for. */
const readsSoFar = (): number => Number(/^syscr: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);

test('a VM is the same whether it is looked for or found among all', async () => {
  mkdirSync(folder.at('bare'));
  await folder.raw('bare/a.raw', MIB);
  await folder.raw('bare/b.img', MIB);
  mkdirSync(folder.at('described'));
  await folder.raw('described/disk.raw', MIB);
  await folder.raw('described/unclaimed.raw', MIB);
  await folder.write('described/vm.ovf', ovf('vm', [{ id: 'd', href: 'disk.raw', capacity: MIB }]));
  mkdirSync(folder.at('empty'));
  await folder.raw('single.raw', MIB);
  await folder.raw('claimed.raw', MIB);
  await folder.write('beside.ovf', ovf('vm', [{ id: 'd', href: 'claimed.raw', capacity: MIB }]));
  const all = await findEntries(folder.path);
  expect(all.map(({ id, kind }) => `${id} ${kind}`)).toEqual([
    'bare disks',
    'beside.ovf ovf',
    'described ovf',
    'single.raw disks',
  ]);
  for (const entry of all) expect(await findEntry(folder.path, entry.id)).toEqual(entry);
  for (const none of ['empty', 'claimed.raw', 'nowhere', '.', '..', 'bare/a.raw']) {
    expect(await findEntry(folder.path, none), none).toBeNull();
  }
});

test('a look at one VM reads no file of the others', async () => {
  await folder.raw('disk.raw', MIB);
  const text = ovf('vm', [{ id: 'd', href: 'disk.raw', capacity: MIB }]);
  for (let n = 0; n < NEIGHBOURS; n += 1) {
    mkdirSync(folder.at(`vm${n}`));
    writeFileSync(folder.at(`vm${n}`, 'vm.ovf'), text);
  }
  await folder.raw('vm7/disk.raw', MIB);
  const context = folder.context();
  const before = readsSoFar();
  const info = await imageProvider.getInstance(context, 'vm7', {});
  const reads = readsSoFar() - before;
  expect(info.devices.disks).toHaveLength(1);
  expect(reads).toBeLessThan(NEIGHBOURS);
  const listed = readsSoFar();
  expect(await imageProvider.listInstances(context, { environment: {} })).toHaveLength(NEIGHBOURS + 1);
  expect(readsSoFar() - listed).toBeGreaterThan(NEIGHBOURS);
});
