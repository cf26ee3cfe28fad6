import { appendFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JsonObject } from '@godwit/domain';
import type { Provider, SourceProvider, TargetProvider } from '@godwit/provider';
import { type ConformanceResult, runConformance } from '@godwit/provider/conformance';
import { describe, expect, test } from 'vitest';
import { imageProvider } from '../src/index.ts';
import { Folder } from './folder.ts';
import { imageSubject } from './subject.ts';

/** This provider with one promise broken; the suite must see it. */
interface Fault {
  title: string;
  check: string;
  source?: (real: SourceProvider, folder: Folder) => Partial<SourceProvider>;
  target?: (real: TargetProvider, folder: Folder) => Partial<TargetProvider>;
  provider?: (real: Provider) => Partial<Provider>;
  freeze?: string;
}

const faults: Fault[] = [
  {
    title: 'that repeats a page',
    check: 'pages by marker and limit without gap or repetition',
    provider: (real) => ({
      listInstances: async (ctx, query) => {
        const { marker: _, ...rest } = query;
        return real.listInstances(ctx, rest);
      },
    }),
  },
  {
    title: 'that filters by case',
    check: 'filters by a part of the name in any case',
    provider: (real) => ({
      listInstances: async (ctx, { name, ...rest }) =>
        (await real.listInstances(ctx, rest)).filter((item) => name === undefined || item.name.includes(name)),
    }),
  },
  {
    title: 'whose ids are not stable',
    check: 'gives the same ids in the same order every time',
    provider: (real) => ({
      listInstances: async (ctx, query) =>
        (await real.listInstances(ctx, query)).map((item) => ({ ...item, id: `${item.id}-${Math.random()}` })),
    }),
  },
  {
    title: 'that counts memory in text',
    check: 'describes an instance in the agreed shape',
    provider: (real) => ({
      getInstance: async (ctx, id, environment) =>
        JSON.parse(
          JSON.stringify(await real.getInstance(ctx, id, environment)).replace(/"memory_mb":(\d+)/, '"memory_mb":"$1"'),
        ),
    }),
  },
  {
    title: 'that hides a failed connection',
    check: 'answers an unreachable platform with CONNECTION_FAILED',
    provider: () => ({ validateConnection: async () => undefined }),
  },
  {
    title: 'that reads files which change',
    check: 'never shows a write that came after the snapshot',
    freeze: 'watch',
    source: (real) => ({
      check: async () => undefined,
      open: async (ctx, snapshot) => {
        // Forgets what the files were like: as if nobody looked.
        const handle: JsonObject = { ...snapshot.handle, stamps: [] };
        return real.open(ctx, { ...snapshot, handle });
      },
    }),
  },
  {
    title: 'that leaves out a disk',
    check: 'freezes every disk of the instance at its true size',
    source: (real) => ({
      snapshot: async (ctx, request) => {
        const snapshot = await real.snapshot(ctx, request);
        return { ...snapshot, disks: snapshot.disks.slice(1) };
      },
    }),
  },
  {
    title: 'that takes another snapshot for the same key',
    check: 'gives the same snapshot for the same key',
    source: (real) => ({
      snapshot: async (ctx, request) => {
        const snapshot = await real.snapshot(ctx, { ...request, resume: false });
        return { ...snapshot, takenAt: new Date(Date.parse(snapshot.takenAt) + Math.random() * 1e6).toISOString() };
      },
    }),
  },
  {
    title: 'that forgets its snapshots on the platform',
    check: 'leaves nothing when a snapshot is released',
    source: (_real, folder) => ({
      release: async (ctx, snapshot) => {
        await appendFile(folder.at('forgotten.txt'), snapshot.key);
        await ctx.ledger.removed('snapshot', `godwit-${snapshot.key}`);
      },
    }),
  },
  {
    title: 'that makes snapshots the ledger does not know',
    check: 'leaves nothing when the reaper cleans up after a crash',
    source: (real) => ({
      snapshot: (ctx, request) =>
        real.snapshot(
          {
            ...ctx,
            ledger: {
              intend: async (kind, name, handle) => ({ id: name, kind, name, handle }),
              made: async () => undefined,
              removed: async () => undefined,
            },
          },
          request,
        ),
    }),
  },
  {
    title: 'that claims to know what changed since a token it never gave',
    check: 'answers a token that never was with unknown',
    source: (real) => ({
      snapshot: async (ctx, request) => {
        const snapshot = await real.snapshot(ctx, request);
        const disks = snapshot.disks.map((disk) => ({
          ...disk,
          changes: request.tokens[disk.id] ? ('exact' as const) : disk.changes,
        }));
        return { ...snapshot, disks };
      },
    }),
  },
  {
    title: 'that ignores a cancel',
    check: 'does nothing for a caller who canceled already',
    provider: (real) => ({
      listInstances: (ctx, query) => real.listInstances({ ...ctx, signal: new AbortController().signal }, query),
    }),
  },
  {
    title: 'that makes new disks on every call',
    check: 'makes one disk per source disk, large enough, once per key',
    target: (real) => ({
      createDisks: (ctx, request, existing) =>
        real.createDisks(ctx, { ...request, key: `${request.key}-${Math.floor(Math.random() * 1e9)}` }, existing),
    }),
  },
  {
    title: 'that calls a used disk zeroed',
    check: 'keeps the disks of earlier executions and what is on them',
    target: (real) => ({
      createDisks: async (ctx, request, existing) =>
        (await real.createDisks(ctx, request, existing)).map((disk) => ({ ...disk, zeroed: true })),
    }),
  },
  {
    title: 'that lets two writers in',
    check: 'shuts a former writer out, or waits for it to be gone',
    target: (real, folder) => ({
      openDisks: async (ctx, disks, readOnly) => {
        const opened = await real.openDisks(ctx, disks, true);
        const addresses = Object.fromEntries(
          Object.entries(opened.addresses).map(([id, address]) => [id, { ...address, readOnly }]),
        );
        await writeFile(join(folder.workDir, 'opened'), '');
        return { ...opened, addresses };
      },
    }),
  },
  {
    title: 'that restores nothing',
    check: 'returns to a snapshot of the target disks',
    target: () => ({ restoreDisks: async (_ctx, _key, disks) => disks }),
  },
  {
    title: 'that lets a test share the replica disks',
    check: 'deploys a test failover, once per key, while replication goes on',
    target: (real) => ({
      deployInstance: (ctx, request) => real.deployInstance(ctx, { ...request, clone: false, test: false }),
    }),
  },
  {
    title: 'that puts a test on the real network',
    check: 'deploys a test failover, once per key, while replication goes on',
    target: (real) => ({
      finalizeInstance: async (ctx, request, deployed) => {
        const info = await real.finalizeInstance(ctx, request, deployed);
        for (const nic of info.devices.nics) nic.network_name = 'lan';
        return info;
      },
    }),
  },
  {
    title: 'that removes whatever it is told to',
    check: 'refuses to remove what is not ours',
    provider: (real) => ({
      remove: async (ctx, entry) => {
        if (entry.name === 'guest/idle.raw') await rm(join(String(ctx.connectionInfo.path), entry.name));
        else await real.remove(ctx, entry);
      },
    }),
  },
];

async function resultOf(fault: Omit<Fault, 'title'>): Promise<ConformanceResult | undefined> {
  await using folder = await Folder.make();
  const provider: Provider = {
    ...imageProvider,
    ...fault.provider?.(imageProvider),
    source: { ...imageProvider.source!, ...fault.source?.(imageProvider.source!, folder) },
    target: { ...imageProvider.target!, ...fault.target?.(imageProvider.target!, folder) },
  };
  const options = {
    scratch: true,
    network: 'lan',
    sourceEnvironment: { freeze: fault.freeze ?? 'copy' },
    subject: imageSubject(folder),
    cancelSeconds: 30,
    only: fault.check,
  };
  for await (const result of runConformance(provider, (overrides) => folder.context(overrides), options)) {
    return result;
  }
  return undefined;
}

describe('the conformance suite sees a provider', () => {
  test.each(faults)('$title', async (fault) => {
    expect(await resultOf(fault)).toMatchObject({ name: fault.check, status: 'failed' });
  });
});
