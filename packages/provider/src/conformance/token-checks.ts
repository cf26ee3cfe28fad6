import type { SnapshotDisk } from '../provider.ts';
import { type Bench, type Check, ensure, NotApplicable, pattern, withDisk } from './bench.ts';

/** Change tokens: what a later run may skip. */
export const tokenChecks: Check[] = [
  {
    name: 'tells exactly what changed since a token, disk by disk, with an idle first disk',
    needs: 'instance',
    run: async (bench) => {
      const instance = await bench.subjectInstance();
      const [idle, written] = instance.disks;
      ensure(idle !== undefined && written !== undefined, 'the subject has one disk only');
      const tokens = await takeTokens(bench);
      const { offset, bytes } = written.known;
      await instance.write(written.id, offset, pattern(Date.now(), bytes.length));
      try {
        return await bench.withSnapshot(async (snapshot, ctx) => {
          const changed = async (id: string) => {
            const disk = diskOf(snapshot.disks, id);
            if (disk.changes === 'unknown') return null;
            return withDisk(bench.source.open(ctx, snapshot), id, async (opened) => opened.changed(0, opened.size));
          };
          const quiet = await changed(idle.id);
          if (tokens[idle.id]) ensure(quiet !== null, `disk ${idle.id} has a token and cannot tell what changed`);
          ensure(quiet === null || quiet.length === 0, `the idle disk ${idle.id} is said to have changed`);
          const busy = await changed(written.id);
          if (!tokens[written.id]) throw new NotApplicable(diskOf(snapshot.disks, written.id).reason ?? 'no tokens');
          ensure(busy !== null, `disk ${written.id} has a token and cannot tell what changed`);
          const covered = busy.some(
            (range) => range.offset <= offset && range.offset + range.length >= offset + bytes.length,
          );
          ensure(covered, `the write at ${offset} is not among ${JSON.stringify(busy)}`);
          const total = busy.reduce((sum, range) => sum + range.length, 0);
          ensure(total < written.size, 'all of the disk is said to have changed');
          return `${bytes.length} bytes written, ${total} said to have changed`;
        }, tokens);
      } finally {
        await instance.write(written.id, offset, bytes);
        await dropTokens(bench, tokens);
      }
    },
  },
  {
    name: 'answers a missing token with unknown',
    needs: 'instance',
    run: (bench) =>
      bench.withSnapshot(async (snapshot) => {
        for (const disk of snapshot.disks) {
          ensure(disk.changes === 'unknown', `disk ${disk.id} claims to know changes since nothing`);
          ensure(disk.reason !== undefined && disk.reason !== '', `disk ${disk.id} does not say why`);
        }
        return snapshot.disks[0]?.reason ?? 'no disk';
      }),
  },
  {
    name: 'answers a stale token with unknown, and drops it twice without complaint',
    needs: 'instance',
    run: async (bench) => {
      const tokens = await takeTokens(bench);
      if (!Object.values(tokens).some((token) => token !== null))
        throw new NotApplicable('this platform has no tokens');
      await dropTokens(bench, tokens);
      await dropTokens(bench, tokens);
      return unknownFor(bench, tokens);
    },
  },
  {
    name: 'answers a token that never was with unknown',
    needs: 'instance',
    run: async (bench) => {
      const ids = await bench.withSnapshot(async (snapshot) => snapshot.disks.map(({ id }) => id));
      return unknownFor(bench, Object.fromEntries(ids.map((id) => [id, 'no-such-token-7f3a'])));
    },
  },
];

/** Tokens of a snapshot that was read and kept. */
async function takeTokens(bench: Bench): Promise<Record<string, string | null>> {
  return bench.withSnapshot(
    async (snapshot) => Object.fromEntries(snapshot.disks.map(({ id, token }) => [id, token])),
    {},
    true,
  );
}

async function dropTokens(bench: Bench, tokens: Record<string, string | null>): Promise<void> {
  const ctx = bench.context();
  for (const token of new Set(Object.values(tokens))) {
    if (token !== null) await bench.source.dropToken(ctx, await bench.instanceId(), token);
  }
}

function unknownFor(bench: Bench, tokens: Record<string, string | null>): Promise<string> {
  return bench.withSnapshot(async (snapshot) => {
    for (const disk of snapshot.disks) {
      ensure(disk.changes === 'unknown', `disk ${disk.id} claims to know changes since a token that is not there`);
    }
    return snapshot.disks[0]?.reason ?? 'unknown';
  }, tokens);
}

function diskOf(disks: readonly SnapshotDisk[], id: string): SnapshotDisk {
  const found = disks.find((disk) => disk.id === id);
  ensure(found !== undefined, `the snapshot has no disk ${id}`);
  return found;
}
