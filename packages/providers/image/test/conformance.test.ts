import { conformanceChecks, runConformance } from '@godwit/provider/conformance';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { imageProvider } from '../src/index.ts';
import { Folder } from './folder.ts';
import { imageSubject } from './subject.ts';

const kinds = [
  { title: 'raw replica disks, sources watched', sourceEnvironment: { freeze: 'watch' }, destinationEnvironment: {} },
  {
    title: 'qcow2 replica disks, sources copied',
    sourceEnvironment: { freeze: 'copy' },
    destinationEnvironment: { disk_format: 'qcow2' },
  },
];

describe.each(kinds)('a folder with $title', ({ sourceEnvironment, destinationEnvironment }) => {
  let folder: Folder;
  const results = new Map<string, { status: string; detail: string }>();

  beforeAll(async () => {
    folder = await Folder.make();
    const options = {
      scratch: true,
      network: 'lan',
      sourceEnvironment,
      destinationEnvironment,
      subject: imageSubject(folder),
      cancelSeconds: 30,
    };
    const run = runConformance(imageProvider, (overrides) => folder.context(overrides), options);
    for await (const { name, status, detail } of run) results.set(name, { status, detail });
  }, 120_000);

  afterAll(() => folder[Symbol.asyncDispose]());

  test.each(conformanceChecks())('%s', (name) => {
    const result = results.get(name);
    expect(result?.status, result?.detail).toBe(notApplicable.has(name) ? 'not_applicable' : 'passed');
  });
});

/** What a folder cannot have: credentials and change tokens. */
const notApplicable = new Set([
  'answers wrong credentials with AUTHENTICATION_FAILED',
  'tells exactly what changed since a token, disk by disk, with an idle first disk',
  'answers a stale token with unknown, and drops it twice without complaint',
]);
