import { isDeepStrictEqual } from 'node:util';
import { GodwitError } from '@godwit/domain';
import {
  type Bench,
  bytesOf,
  type Check,
  ensure,
  ensureRejects,
  NotApplicable,
  pattern,
  same,
  withDisk,
  withDisks,
} from './bench.ts';

/** Snapshots and reading. */
export const snapshotChecks: Check[] = [
  {
    name: 'accepts the instance as a source',
    needs: 'instance',
    run: async (bench) => {
      await bench.source.validate(bench.context(), await bench.instanceId(), bench.sourceEnvironment);
      return 'valid';
    },
  },
  {
    name: 'freezes every disk of the instance at its true size',
    needs: 'instance',
    run: (bench) =>
      bench.withSnapshot(async (snapshot, ctx) => {
        const info = await bench.provider.getInstance(ctx, await bench.instanceId(), bench.sourceEnvironment);
        const expected = info.devices.disks.map(({ id, size_bytes }) => [id, size_bytes]).sort();
        const frozen = snapshot.disks.map(({ id, size }) => [id, size]).sort();
        ensure(isDeepStrictEqual(frozen, expected), `froze ${JSON.stringify(frozen)} of ${JSON.stringify(expected)}`);
        ensure(!Number.isNaN(Date.parse(snapshot.takenAt)), `takenAt is no time: ${snapshot.takenAt}`);
        const opened = await bench.source.open(ctx, snapshot);
        await opened.close();
        const sizes = new Map(snapshot.disks.map(({ id, size }) => [id, size]));
        await withDisks(bench.source.open(ctx, snapshot), [...sizes.keys()], async (disk, id) => {
          ensure(disk.readOnly, `disk ${id} of a snapshot can be written`);
          if (disk.size > 0) await bytesOf(disk, disk.size - 1, 1);
          ensure(disk.size === sizes.get(id), `disk ${id} serves ${disk.size} bytes of ${sizes.get(id)}`);
        });
        return `${snapshot.disks.length} disk(s), ${snapshot.consistency}-consistent`;
      }),
  },
  {
    name: 'gives the same snapshot for the same key',
    needs: 'instance',
    run: (bench) =>
      bench.withSnapshot(async (snapshot, ctx) => {
        const before = await bench.everything();
        const request = { ...(await bench.snapshotRequest(snapshot.key)), resume: true };
        const again = await bench.source.snapshot(ctx, request);
        ensure(isDeepStrictEqual(again, snapshot), 'the second call gave another snapshot');
        ensure(isDeepStrictEqual(await bench.everything(), before), 'the second call made something');
        return 'twice the same';
      }),
  },
  {
    name: 'says SNAPSHOT_LOST when a snapshot to resume from is gone',
    needs: 'instance',
    run: async (bench) => {
      const key = await bench.withSnapshot(async (snapshot) => snapshot.key);
      const request = { ...(await bench.snapshotRequest(key)), resume: true };
      return ensureRejects(bench.source.snapshot(bench.context(), request), ['SNAPSHOT_LOST'], 'snapshot with resume');
    },
  },
  {
    name: 'reads the bytes that are known to be there',
    needs: 'instance',
    run: async (bench) => {
      const instance = await bench.subjectInstance();
      return bench.withSnapshot(async (snapshot, ctx) => {
        const known = new Map(instance.disks.map((disk) => [disk.id, disk.known]));
        await withDisks(bench.source.open(ctx, snapshot), [...known.keys()], async (disk, id) => {
          const { offset, bytes } = known.get(id) ?? { offset: 0, bytes: new Uint8Array(0) };
          ensure(bytes.length > 0, `the subject tells no bytes of disk ${id}`);
          ensure(same(await bytesOf(disk, offset, bytes.length), bytes), `disk ${id} reads other bytes`);
        });
        return `${instance.disks.length} disk(s)`;
      });
    },
  },
  {
    name: 'reports extents that cover the disk and hide no data',
    needs: 'instance',
    run: (bench) =>
      bench.withSnapshot(async (snapshot, ctx) => {
        let holes = 0;
        const ids = snapshot.disks.map(({ id }) => id);
        await withDisks(bench.source.open(ctx, snapshot), ids, async (disk, id) => {
          let at = 0;
          for (const extent of await disk.extents(0, disk.size)) {
            ensure(extent.offset === at && extent.length > 0, `disk ${id}: extents leave a gap at byte ${at}`);
            at += extent.length;
            if (extent.kind === 'data') continue;
            holes++;
            const bytes = await bytesOf(disk, extent.offset, Math.min(extent.length, 65_536));
            ensure(
              bytes.every((byte) => byte === 0),
              `disk ${id}: data in a ${extent.kind} at ${extent.offset}`,
            );
          }
          ensure(at === disk.size, `disk ${id}: extents end at byte ${at} of ${disk.size}`);
        });
        return `${holes} empty extent(s)`;
      }),
  },
  {
    name: 'never shows a write that came after the snapshot',
    needs: 'instance',
    run: async (bench) => {
      const instance = await bench.subjectInstance();
      const written = instance.disks[1];
      ensure(written !== undefined, 'the subject has one disk only');
      const { offset, bytes } = written.known;
      const later = pattern(Date.now(), bytes.length);
      try {
        return await bench.withSnapshot(async (snapshot, ctx) => {
          const opened = await bench.source.open(ctx, snapshot);
          await opened.close();
          await instance.write(written.id, offset, later);
          const read = () =>
            withDisk(bench.source.open(ctx, snapshot), written.id, (disk) => bytesOf(disk, offset, bytes.length));
          // A platform that cannot freeze must refuse; what was read is then thrown away.
          const refused = await Promise.resolve(bench.source.check?.(ctx, snapshot)).then(() => null, codeOf);
          if (refused !== null) {
            ensure(refused === 'SNAPSHOT_LOST', `check() says ${refused} instead of SNAPSHOT_LOST`);
            await ensureRejects(read(), ['SNAPSHOT_LOST'], 'open after a write');
            return 'the run is refused after a write (SNAPSHOT_LOST)';
          }
          ensure(same(await read(), bytes), 'a write after the snapshot shows in it');
          return 'the snapshot stands still';
        });
      } finally {
        await instance.write(written.id, offset, bytes);
      }
    },
  },
  {
    name: 'shows a write that came before the snapshot',
    needs: 'instance',
    run: async (bench) => {
      const instance = await bench.subjectInstance();
      const written = instance.disks[1];
      ensure(written !== undefined, 'the subject has one disk only');
      const { offset, bytes } = written.known;
      const newer = pattern(Date.now() + 1, bytes.length);
      await instance.write(written.id, offset, newer);
      try {
        const seen = await bench.withSnapshot((snapshot, ctx) =>
          withDisk(bench.source.open(ctx, snapshot), written.id, (disk) => bytesOf(disk, offset, bytes.length)),
        );
        ensure(same(seen, newer), 'the snapshot holds older bytes');
        return 'shown';
      } finally {
        await instance.write(written.id, offset, bytes);
      }
    },
  },
  {
    name: 'can be opened again after a crash of the worker',
    needs: 'instance',
    run: (bench) =>
      bench.withSnapshot(async (snapshot, ctx) => {
        const [disk] = snapshot.disks;
        if (disk === undefined) throw new NotApplicable('the instance has no disk');
        const length = Math.min(disk.size, 65_536);
        const read = (at: typeof snapshot) =>
          withDisk(bench.source.open(ctx, at), disk.id, (opened) => bytesOf(opened, 0, length));
        const first = await read(snapshot);
        const second = await read(JSON.parse(JSON.stringify(snapshot)));
        ensure(same(first, second), 'it reads other bytes the second time');
        return 'opened twice';
      }),
  },
  {
    name: 'leaves nothing when a snapshot is released',
    needs: 'instance',
    run: async (bench) => {
      await bench.instanceId();
      const before = await bench.everything();
      const live = bench.live().length;
      await bench.withSnapshot(async (snapshot, ctx) => {
        const opened = await bench.source.open(ctx, snapshot);
        await opened.close();
        await opened.close();
      });
      ensure(bench.live().length === live, `the ledger still lists ${namesOf(bench)}`);
      ensure(isDeepStrictEqual(await bench.everything(), before), 'the platform holds something that was not there');
      return before === null ? 'by the ledger' : `by the ledger and all ${before.length} things of the platform`;
    },
  },
  {
    name: 'leaves nothing when the reaper cleans up after a crash',
    needs: 'instance',
    run: async (bench) => {
      await bench.instanceId();
      const before = await bench.everything();
      const ctx = bench.context();
      await bench.source.snapshot(ctx, await bench.snapshotRequest(bench.key()));
      const entries = bench.live();
      ensure(entries.length > 0, 'a snapshot was taken that the ledger does not know');
      for (const entry of entries) await bench.provider.remove(ctx, entry);
      for (const entry of entries) await bench.provider.remove(ctx, entry);
      for (const entry of entries) await ctx.ledger.removed(entry.kind, entry.name);
      ensure(isDeepStrictEqual(await bench.everything(), before), 'the platform holds something that was not there');
      return `${entries.length} thing(s) removed, twice`;
    },
  },
  {
    name: 'honours a cancel in the middle of a snapshot and leaves nothing',
    needs: 'instance',
    run: async (bench) => {
      await bench.instanceId();
      const before = await bench.everything();
      const abort = new AbortController();
      const ctx = bench.context({ signal: abort.signal });
      const request = await bench.snapshotRequest(bench.key());
      const outcome = bench.source.snapshot(ctx, request).then(() => 'finished before', codeOf);
      setTimeout(() => abort.abort(), 5);
      const seen = await within(bench, outcome);
      ensure(['finished before', 'CANCELED'].includes(seen), `answered with ${seen} instead of CANCELED`);
      await bench.reap();
      ensure(isDeepStrictEqual(await bench.everything(), before), 'the platform holds something that was not there');
      return seen;
    },
  },
  {
    name: 'does nothing for a caller who canceled already',
    needs: 'instance',
    run: async (bench) => {
      const id = await bench.instanceId();
      const ctx = bench.context({ signal: AbortSignal.abort() });
      const request = await bench.snapshotRequest(bench.key());
      const calls: [string, () => Promise<unknown>][] = [
        ['listInstances', () => bench.provider.listInstances(ctx, { environment: bench.sourceEnvironment })],
        ['getInstance', () => bench.provider.getInstance(ctx, id, bench.sourceEnvironment)],
        ['snapshot', () => bench.source.snapshot(ctx, request)],
      ];
      for (const [name, call] of calls) await within(bench, ensureRejects(call(), ['CANCELED'], name));
      return calls.map(([name]) => name).join(', ');
    },
  },
];

export function codeOf(error: unknown): string {
  return error instanceof GodwitError ? error.code : String(error);
}

/** Waits no longer than a cancel may take. */
export async function within<T>(bench: Bench, work: Promise<T>): Promise<T> {
  const seconds = bench.options.cancelSeconds ?? 2;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not settled ${seconds} s after the cancel`)), seconds * 1000);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function namesOf(bench: Bench): string {
  return bench
    .live()
    .map(({ kind, name }) => `${kind} ${name}`)
    .join(', ');
}
