import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeFolder, removeEmptyParents, stateFolder } from '../src/mark.ts';

let root: string;
beforeAll(() => {
  root = mkdtempSync(path.join(tmpdir(), 'gwmark-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

test('many make and remove folders in one place, whose parents come and go with them', async () => {
  const one = async (worker: number) => {
    for (let turn = 0; turn < 2_000; turn++) {
      const folder = path.join(root, stateFolder, 'snapshots', `k${worker}`);
      await makeFolder(folder);
      await rmdir(folder);
      await removeEmptyParents(root, folder);
    }
  };
  await Promise.all([0, 1, 2].map(one));
  expect(readdirSync(root)).toEqual([]);
});
