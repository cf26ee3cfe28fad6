import { readFile, writeFile } from 'node:fs/promises';
import { GodwitError } from '@godwit/domain';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { imageProvider } from '../src/index.ts';
import { Folder, ovf } from './folder.ts';
import { diskBytes } from './reading.ts';

let folder: Folder;
let valid: Record<string, Buffer>;

beforeAll(async () => {
  folder = await Folder.make();
  const raw = await folder.raw('origin.tmp', 262_144, 0, diskBytes(262_144));
  await folder.convert(raw, 'd.vmdk', 'vmdk', 'subformat=streamOptimized');
  await folder.write('vm.ovf', ovf('vm', [{ id: 'd', href: 'd.vmdk', capacity: 262_144 }]));
  await folder.ova('vm.ova', ['vm.ovf', 'd.vmdk']);
  const names = ['vm.ova', 'vm.ovf', 'd.vmdk'];
  valid = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await readFile(folder.at(name))])));
});
afterAll(() => folder[Symbol.asyncDispose]());

/** What anybody may do to a file: overwrite bytes here and there, cut it off, or neither. */
const damage = fc.record({
  name: fc.constantFrom('vm.ova', 'vm.ovf', 'd.vmdk'),
  hits: fc.array(
    fc.record({
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 12 }),
    }),
    {
      maxLength: 4,
    },
  ),
  keep: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: 1 }),
});

test('whatever is done to an archive, a description or a disk, the answer is typed', async () => {
  const outcome = async (work: Promise<unknown>) =>
    work.then(
      () => 'read',
      (error: unknown) =>
        error instanceof GodwitError && error.code !== 'INTERNAL' ? error.code : Promise.reject(error),
    );
  await fc.assert(
    fc.asyncProperty(damage, async ({ name, hits, keep }) => {
      const file = Buffer.from(valid[name]!.subarray(0, Math.round(valid[name]!.length * keep)));
      for (const { at, bytes } of hits)
        file.set(bytes.slice(0, file.length), Math.floor(at * Math.max(0, file.length - 12)));
      await writeFile(folder.at(name), file);
      try {
        const id = name === 'd.vmdk' ? 'vm.ovf' : name;
        const list = await imageProvider.listInstances(folder.context(), { environment: {} });
        expect(list.length).toBeGreaterThan(0);
        expect(await outcome(imageProvider.getInstance(folder.context(), id, {}))).not.toBe('');
        expect(await outcome(imageProvider.source!.validate(folder.context(), id, {}))).not.toBe('');
      } finally {
        await writeFile(folder.at(name), valid[name]!);
      }
    }),
    { numRuns: 60, seed: 20261121 },
  );
});
