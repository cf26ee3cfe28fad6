import { join } from 'node:path';
import { type Contender, compete, type Figures, timesAsFast } from '../contender.ts';
import { chooseChanges, LEAF, makeDisk, rewrite } from '../disk-maker.ts';
import { runMeasured } from '../measure.ts';
import { mustBeEqual, rsyncCommand } from '../peers.ts';
import { type ProductFigures, runWhole, WarmProduct } from '../product-runner.ts';
import { atLeast, type Scenario, standingOf } from '../scenario.ts';
import { serveNbd } from '../servers.ts';
import { nbdAddress } from './full-copy.ts';
import { laterCopy, makeReplica, removeReplica, withReplica } from './replica.ts';

const MIB = 1_048_576;
const GIB = 1_073_741_824;

export const untrackedChanges: Scenario = {
  id: 'P3',
  title: '1 % changed, nobody tells where',
  async run(bench) {
    const size = bench.quick ? 2 * GIB : 8 * GIB;
    const data = bench.quick ? 512 * MIB : 1_536 * MIB;
    const source = join(bench.folder, 'p3.raw');
    const runs = await makeDisk(source, { seed: bench.seed, size, data });
    const replica = await makeReplica(bench.folder, 'p3', source, size);
    const changes = chooseChanges(runs, Math.ceil(data / LEAF / 100), 'uniform', bench.seed);
    await rewrite(source, changes, `${bench.seed}/p3/new`);
    const from = await serveNbd(source, { socket: join(bench.folder, 'p3-source.sock'), readOnly: true });
    const warm = new WarmProduct();
    const product = (work: (job: Parameters<WarmProduct['run']>[0]) => Promise<ProductFigures>): Promise<Figures> =>
      withReplica(replica, async (path, store) => {
        const server = await serveNbd(path, { socket: join(bench.folder, 'p3-target.sock') });
        try {
          const before = from.cpu() + server.cpu();
          const figures = await work({
            tasks: [
              { source: nbdAddress(from, true), target: nbdAddress(server, false), store, plan: laterCopy('compare') },
            ],
          });
          const serverCpu = from.cpu() + server.cpu() - before;
          await server.stop();
          await mustBeEqual(source, path);
          return { ...figures, serverCpu };
        } finally {
          await server.stop();
        }
      });
    const contenders: Contender[] = [
      { name: 'godwit, warm worker', side: 'product', run: () => product((job) => warm.run(job)) },
      { name: 'godwit, whole process', side: 'product', run: () => product(runWhole) },
      {
        name: 'rsync --inplace --no-whole-file',
        side: 'peer',
        run: () =>
          withReplica(replica, async (path) => {
            const figures = await runMeasured(rsyncCommand(source, path));
            await mustBeEqual(source, path);
            return figures;
          }),
      },
    ];
    try {
      await product((job) => warm.run(job));
      const standings = await compete(contenders, bench.rounds, data, bench.say);
      const heat = {
        title: 'Hot cache',
        setting: 'product: NBD to NBD, comparing with its leaf table; rsync: local files',
        standings,
      };
      const ours = standingOf(heat, 'godwit, warm worker');
      const whole = standingOf(heat, 'godwit, whole process');
      const rsync = standingOf(heat, 'rsync --inplace --no-whole-file');
      return {
        id: untrackedChanges.id,
        title: untrackedChanges.title,
        heats: [heat],
        verdicts: [
          atLeast('whole process >= 4x rsync', 4, timesAsFast(whole, rsync), 'x'),
          atLeast('>= 2 GiB/s of data scanned, warm', 2, (ours.bytesPerSecond ?? 0) / GIB, ' GiB/s'),
          atLeast('>= 2 GiB/s of disk scanned, holes included', 2, size / ours.wall.median / GIB, ' GiB/s'),
        ],
        notes: [
          `Disk: ${size / GIB} GiB virtual, ${data / MIB} MiB of data, 1 % of it changed. Rates count data.`,
          'The product reads one side only, the other is known by its leaf table; rsync reads both, holes included. borg and restic were not run.',
        ],
      };
    } finally {
      await warm.stop();
      await from.stop();
      removeReplica(replica);
    }
  },
};
