import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Contender, compete, type Figures, timesAsFast } from '../contender.ts';
import { makeDisk } from '../disk-maker.ts';
import { runMeasured } from '../measure.ts';
import { mustBeEqual } from '../peers.ts';
import { runWhole } from '../product-runner.ts';
import { atLeast, atMost, fastest, type Scenario, standingOf } from '../scenario.ts';
import { firstCopy, makeEmpty } from './full-copy.ts';

const MIB = 1_048_576;
const VIRTUAL = 256 * MIB;
/** Rounds at most, each of 4,000 copies. */
const ROUNDS = 3;
/** A run compares one disk in so many, the next run others. */
const COMPARED = 10;
/** Disks at once, for all. */
const PARALLEL = 4;

export const smallDisks: Scenario = {
  id: 'P4',
  title: 'Many small disks',
  async run(bench) {
    const count = bench.quick ? 50 : 1_000;
    const data = 2 * MIB;
    const folder = join(bench.folder, 'p4');
    mkdirSync(join(folder, 'source'), { recursive: true });
    const names = Array.from({ length: count }, (_, disk) => `${disk}.raw`);
    for (const name of names) {
      await makeDisk(join(folder, 'source', name), { seed: `${bench.seed}/${name}`, size: VIRTUAL, data });
    }
    await makeEmpty(join(folder, 'empty.raw'), VIRTUAL);
    const contenders = contendersOf(folder, names);
    const standings = await compete(contenders, Math.min(bench.rounds, ROUNDS), count * data, bench.say);
    const heat = {
      title: `${count} disks`,
      setting: `of ${VIRTUAL / MIB} MiB, ${data / MIB} MiB used; file to file; ${PARALLEL} at once`,
      standings,
    };
    const ours = standingOf(heat, 'godwit, one process');
    const best = fastest(standings.filter((standing) => standing.side === 'peer'));
    const empty = standingOf(heat, 'godwit, one process, empty disks');
    const perDisk = (empty.wall.median * 1_000) / count;
    return {
      id: smallDisks.id,
      title: smallDisks.title,
      heats: [heat],
      verdicts: [
        atLeast(`one process >= 1.0x the best peer (${best.name})`, 1, timesAsFast(ours, best), 'x'),
        atMost('overhead per disk <= 2 ms (wall of empty disks, start of the process included)', 2, perDisk, ' ms'),
      ],
      notes: [
        `Peers get a process per disk, ${PARALLEL} at once, by xargs; the product is one process.`,
        `Each run compares one disk in ${COMPARED}, the next run others.`,
      ],
    };
  },
};

function contendersOf(folder: string, names: readonly string[]): Contender[] {
  const target = join(folder, 'target');
  let runs = 0;
  const compared = async (work: () => Promise<Figures>, source: (name: string) => string): Promise<Figures> => {
    mkdirSync(target);
    try {
      for (const name of names) await makeEmpty(join(target, name), VIRTUAL);
      const figures = await work();
      runs += 1;
      for (const name of names.filter((_, index) => index % COMPARED === runs % COMPARED)) {
        await mustBeEqual(source(name), join(target, name));
      }
      return figures;
    } finally {
      rmSync(target, { recursive: true, force: true });
    }
  };
  const full = (name: string): string => join(folder, 'source', name);
  const hollow = (): string => join(folder, 'empty.raw');
  const product = (source: (name: string) => string): Promise<Figures> =>
    runWhole({
      parallel: PARALLEL,
      tasks: names.map((name) => ({
        source: { kind: 'file', path: source(name), readOnly: true },
        target: { kind: 'file', path: join(target, name), readOnly: false },
        store: join(target, `${name}.leaves`),
        plan: firstCopy,
      })),
    });
  const each = (command: string): Promise<Figures> => {
    const script = `cd "$1" && ls | xargs -P ${PARALLEL} -I{} ${command}`;
    return runMeasured(['bash', '-c', script, 'bash', join(folder, 'source')]);
  };
  const image = `qemu-img convert -n --target-is-zero -W -f raw -O raw {} ${target}/{}`;
  return [
    { name: 'godwit, one process', side: 'product', run: () => compared(() => product(full), full) },
    { name: 'godwit, one process, empty disks', side: 'product', run: () => compared(() => product(hollow), hollow) },
    { name: 'qemu-img convert, xargs', side: 'peer', run: () => compared(() => each(image), full) },
    {
      name: 'nbdcopy, xargs',
      side: 'peer',
      run: () => compared(() => each(`nbdcopy --destination-is-zero {} ${target}/{}`), full),
    },
  ];
}
