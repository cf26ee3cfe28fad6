import { isDeepStrictEqual } from 'node:util';
import { openDisk } from '@godwit/disk';
import { GodwitError } from '@godwit/domain';
import {
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
import { ensureFilled, fillDisks, scratchRequest, withScratchDisks } from './scratch-instance.ts';
import { codeOf, within } from './snapshot-checks.ts';

/** Bytes looked at for zeroes at either end: platforms of coarse units give GiBs. */
const ZERO_LOOK = 8_388_608;

/** Disks to write. */
export const targetChecks: Check[] = [
  {
    name: 'accepts an instance that fits and refuses an unknown storage',
    needs: 'scratch',
    run: async (bench) => {
      const request = scratchRequest(bench);
      await bench.target.validate(bench.context(), request);
      const storageMappings = { default: 'no-such-storage-7f3a' };
      const refused = bench.target.validate(bench.context(), { ...request, storageMappings });
      return ensureRejects(refused, ['INVALID_INPUT', 'NOT_FOUND', 'UNSUPPORTED', 'BAD_REQUEST', 'ABSENT'], 'validate');
    },
  },
  {
    name: 'makes one disk per source disk, large enough, once per key',
    needs: 'scratch',
    run: (bench) =>
      withScratchDisks(bench, async (disks, request, ctx) => {
        const before = await bench.everything();
        const again = await bench.target.createDisks(ctx, request, []);
        ensure(isDeepStrictEqual(again.map(placed), disks.map(placed)), 'the second call made other disks');
        ensure(isDeepStrictEqual(await bench.everything(), before), 'the second call made something');
        for (const { id, size_bytes } of request.instance.devices.disks) {
          const disk = disks.find((candidate) => candidate.id === id);
          ensure(disk !== undefined, `no disk for ${id}`);
          ensure(disk.size >= size_bytes, `disk ${id} has ${disk.size} bytes of ${size_bytes}`);
        }
        return `${disks.length} disk(s)`;
      }),
  },
  {
    name: 'makes disks that read as zeroes when it says so',
    needs: 'scratch',
    run: (bench) =>
      withScratchDisks(bench, async (disks, _request, ctx) => {
        const zeroed = disks.filter((disk) => disk.zeroed).map(({ id }) => id);
        await withDisks(bench.target.openDisks(ctx, disks, true), zeroed, async (disk, id) => {
          const length = Math.min(disk.size, ZERO_LOOK);
          for (const at of new Set([0, disk.size - length])) {
            const bytes = await bytesOf(disk, at, length);
            ensure(
              bytes.every((byte) => byte === 0),
              `disk ${id} is said to be zeroed and is not`,
            );
          }
        });
        return `${zeroed.length} of ${disks.length} disk(s) known zero`;
      }),
  },
  {
    name: 'reads back what was written, to the last byte',
    needs: 'scratch',
    run: (bench) =>
      withScratchDisks(bench, async (disks, request, ctx) => {
        const sizes = new Map(request.instance.devices.disks.map(({ id, size_bytes }) => [id, size_bytes]));
        const sizeOf = (id: string): number => sizes.get(id) ?? 0;
        const ids = disks.map(({ id }) => id);
        const tail = pattern(3, 512);
        await withDisks(bench.target.openDisks(ctx, disks, false), ids, async (disk, id) => {
          ensure(disk.size >= sizeOf(id), `disk ${id} serves ${disk.size} bytes of ${sizeOf(id)}`);
          await disk.write(0, pattern(1, 262_144));
          await disk.write(524_288 + 4_096, pattern(2, 65_536));
          await disk.write(sizeOf(id) - 512, tail);
          await disk.zero(65_536, 65_536);
          await disk.flush();
        });
        await withDisks(bench.target.openDisks(ctx, disks, true), ids, async (disk, id) => {
          const expected = pattern(1, 262_144);
          expected.fill(0, 65_536, 131_072);
          ensure(same(await bytesOf(disk, 0, 262_144), expected), `disk ${id} reads other bytes at 0`);
          const middle = await bytesOf(disk, 524_288 + 4_096, 65_536);
          ensure(same(middle, pattern(2, 65_536)), `disk ${id} reads other bytes at 528384`);
          ensure(same(await bytesOf(disk, sizeOf(id) - 512, 512), tail), `disk ${id} reads another end`);
          ensure(disk.readOnly, `disk ${id} was opened read-only and can be written`);
        });
        return `${disks.length} disk(s)`;
      }),
  },
  {
    name: 'keeps the disks of earlier executions and what is on them',
    needs: 'scratch',
    run: (bench) =>
      withScratchDisks(bench, async (disks, request, ctx) => {
        await fillDisks(bench, ctx, disks, 5);
        const next = { ...request, key: bench.key() };
        const kept = await bench.target.createDisks(ctx, next, disks);
        ensure(isDeepStrictEqual(kept.map(placed), disks.map(placed)), 'it gave other disks');
        ensure(
          kept.every(({ zeroed }) => !zeroed),
          'a disk with content is said to be zeroed',
        );
        await ensureFilled(bench, ctx, kept, 5, 'in the next execution');
        return `${kept.length} disk(s)`;
      }),
  },
  {
    name: 'grows a disk with its source or says DISK_GREW',
    needs: 'scratch',
    run: (bench) =>
      withScratchDisks(bench, async (disks, request, ctx) => {
        await fillDisks(bench, ctx, disks, 6);
        const instance = structuredClone(request.instance);
        const [first] = instance.devices.disks;
        ensure(first !== undefined, 'no disk');
        // Platforms of coarse units gave more than was asked for: past that, too.
        first.size_bytes += disks.find(({ id }) => id === first.id)?.size ?? 0;
        try {
          const grown = await bench.target.createDisks(ctx, { ...request, instance }, disks);
          await ensureFilled(bench, ctx, grown, 6, 'after it grew');
          await withDisk(bench.target.openDisks(ctx, grown, true), first.id, async (disk) => {
            ensure(disk.size >= first.size_bytes, `it serves ${disk.size} bytes of ${first.size_bytes}`);
            const end = await bytesOf(disk, disk.size - 65_536, 65_536);
            ensure(
              end.every((byte) => byte === 0),
              'the new end is not zero',
            );
          });
          return 'grown';
        } catch (error) {
          if (codeOf(error) !== 'DISK_GREW') throw error;
          return 'DISK_GREW';
        }
      }),
  },
  {
    name: 'shuts a former writer out, or waits for it to be gone',
    needs: 'scratch',
    run: (bench) =>
      withScratchDisks(bench, async (disks, _request, ctx) => {
        const [target] = disks;
        ensure(target !== undefined, 'no disk');
        const first = await bench.target.openDisks(ctx, [target], false);
        try {
          const address = first.addresses[target.id];
          ensure(address !== undefined, 'no address');
          const former = await openDisk(address);
          try {
            const second = await bench.target.openDisks(ctx, [target], false).catch((error) => {
              const refused = error instanceof GodwitError && (error.kind === 'conflict' || error.code === 'DISK_BUSY');
              ensure(refused, `refused with ${codeOf(error)}`);
              return null;
            });
            if (second === null) return 'the newcomer is refused while the former lives';
            try {
              const late = former.write(0, pattern(9, 512)).then(() => former.flush());
              const written = await late.then(
                () => true,
                () => false,
              );
              ensure(!written, 'the former writer still writes although a newcomer was let in');
              return 'the former is cut off';
            } finally {
              await second.close();
            }
          } finally {
            await former.close();
          }
        } finally {
          await first.close();
        }
      }),
  },
  {
    name: 'returns to a snapshot of the target disks',
    needs: 'scratch',
    run: (bench) =>
      withScratchDisks(bench, async (disks, _request, ctx) => {
        const key = bench.key();
        await fillDisks(bench, ctx, disks, 7);
        let at = await bench.target.snapshotDisks(ctx, key, disks);
        await fillDisks(bench, ctx, at, 8);
        at = await bench.target.snapshotDisks(ctx, key, at);
        at = await bench.target.restoreDisks(ctx, key, at);
        await ensureFilled(bench, ctx, at, 7, 'after it was restored');
        at = await bench.target.restoreDisks(ctx, key, at);
        // A deletion may come late, by the reaper: what was written since must outlive it.
        await fillDisks(bench, ctx, at, 9);
        at = await bench.target.deleteDiskSnapshots(ctx, key, at);
        at = await bench.target.deleteDiskSnapshots(ctx, key, at);
        await ensureFilled(bench, ctx, at, 9, 'after the snapshot was deleted');
        return `${at.length} disk(s)`;
      }),
  },
  {
    name: 'leaves nothing when replica disks are deleted, twice',
    needs: 'scratch',
    run: async (bench) => {
      const before = await bench.everything();
      const live = bench.live().length;
      await withScratchDisks(bench, async (disks, _request, ctx) => {
        await fillDisks(bench, ctx, disks, 4);
        await bench.target.deleteDisks(ctx, disks);
        await bench.target.deleteDisks(ctx, disks);
        ensure(bench.live().length === live, 'the ledger still lists them');
      });
      ensure(isDeepStrictEqual(await bench.everything(), before), 'the platform holds something that was not there');
      return before === null ? 'by the ledger' : 'by the ledger and the platform';
    },
  },
  {
    name: 'leaves nothing when the reaper removes replica disks',
    needs: 'scratch',
    run: async (bench) => {
      const before = await bench.everything();
      const ctx = bench.context();
      const disks = await bench.target.createDisks(ctx, scratchRequest(bench), []);
      await bench.target.snapshotDisks(ctx, bench.key(), disks);
      const entries = bench.live();
      ensure(entries.length > disks.length, 'disks or snapshots were made that the ledger does not know');
      for (const entry of entries) await bench.provider.remove(ctx, entry);
      for (const entry of entries) await bench.provider.remove(ctx, entry);
      for (const entry of entries) await ctx.ledger.removed(entry.kind, entry.name);
      ensure(isDeepStrictEqual(await bench.everything(), before), 'the platform holds something that was not there');
      return `${entries.length} thing(s) removed, twice`;
    },
  },
  {
    name: 'makes no disk for a caller who canceled already',
    needs: 'scratch',
    run: async (bench) => {
      const before = await bench.everything();
      const ctx = bench.context({ signal: AbortSignal.abort() });
      const create = bench.target.createDisks(ctx, scratchRequest(bench), []);
      try {
        return await within(bench, ensureRejects(create, ['CANCELED'], 'createDisks'));
      } finally {
        await bench.reap();
        ensure(isDeepStrictEqual(await bench.everything(), before), 'the platform holds something that was not there');
      }
    },
  },
  {
    name: 'refuses to remove what is not ours',
    needs: 'scratch',
    run: async (bench) => {
      const entries = await bench.subject.unowned();
      if (entries.length === 0) throw new NotApplicable('the subject names nothing');
      const before = await bench.everything();
      const seen: string[] = [];
      for (const entry of entries) {
        const outcome = await bench.provider.remove(bench.context(), entry).then(() => 'nothing to do', codeOf);
        seen.push(`${entry.kind} ${entry.name}: ${outcome}`);
      }
      ensure(isDeepStrictEqual(await bench.everything(), before), `something was removed (${seen.join('; ')})`);
      return seen.join('; ');
    },
  },
];

/** A disk without what may differ between two calls that give the same one. */
function placed({ id, handle }: { id: string; handle: object }): object {
  return { id, handle };
}
