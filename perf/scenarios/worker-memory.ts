import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Installation } from '../../testbed/spine/installation.ts';
import { compete, type Figures } from '../contender.ts';
import { makeDisk } from '../disk-maker.ts';
import { cpuSecondsOf, peakOf } from '../measure.ts';
import { mustBeEqual } from '../peers.ts';
import { atMost, type Bench, type Scenario, standingOf } from '../scenario.ts';

const MIB = 1_048_576;
const DISKS = ['a', 'b', 'c', 'd'] as const;
const WORKER = 'the worker of a whole installation';

export const workerMemory: Scenario = {
  id: 'M1',
  title: 'Memory of a worker that copies four disks',
  async run(bench) {
    const size = bench.quick ? 1_024 * MIB : 8_192 * MIB;
    const data = bench.quick ? 128 * MIB : 768 * MIB;
    const source = join(bench.folder, 'm1-source');
    mkdirSync(join(source, 'four'), { recursive: true });
    for (const disk of DISKS) {
      await makeDisk(join(source, 'four', `${disk}.raw`), { seed: `${bench.seed}/${disk}`, size, data });
    }
    const run = (): Promise<Figures> => oneExecution(bench, source);
    const rounds = Math.min(bench.rounds, bench.quick ? 1 : 2);
    const standings = await compete([{ name: WORKER, side: 'product', run }], rounds, data * DISKS.length, bench.say);
    const heat = {
      title: 'One execution',
      setting: `four disks of ${data / MIB} MiB of data, folder to folder, Postgres checkpoints, whole target re-read`,
      standings,
    };
    return {
      id: workerMemory.id,
      title: workerMemory.title,
      heats: [heat],
      verdicts: [atMost('peak <= 256 MiB', 256, standingOf(heat, WORKER).peakBytes / MIB, ' MiB')],
      notes: [
        'Peak resident memory (VmHWM) of the worker process, engine and providers included, from its start to the end of the execution.',
      ],
    };
  },
};

async function oneExecution(bench: Bench, source: string): Promise<Figures> {
  const target = join(bench.folder, 'm1-target');
  mkdirSync(target);
  const installation = await Installation.start();
  try {
    const [from, to] = [await endpoint(installation, source), await endpoint(installation, target)];
    const transfer = await installation.transfer(from, to, ['four'], { options: { verify: 'whole' } });
    const [worker = 0] = installation.pids('worker');
    const cpuBefore = cpuSecondsOf(worker);
    const began = performance.now();
    const execution = await installation.ended(await installation.execute(transfer));
    const wall = (performance.now() - began) / 1_000;
    if (execution.status !== 'COMPLETED') throw new Error(`the execution ended ${execution.status}`);
    const figures = { wall, cpu: cpuSecondsOf(worker) - cpuBefore, peakBytes: peakOf(worker) };
    for (const file of await copiesOf(target)) await mustBeEqual(file.source(source), file.path);
    return figures;
  } finally {
    await installation.stop();
    rmSync(target, { recursive: true, force: true });
  }
}

async function endpoint(installation: Installation, path: string): Promise<string> {
  const body = { endpoint: { name: path, type: 'image', connection_info: { path }, description: '' } };
  return (await installation.get<{ id: string }>('POST', '/endpoints', 'endpoint', body)).id;
}

/** The replica disks in a target folder, each with the disk that it is a copy of. */
async function copiesOf(target: string): Promise<{ path: string; source: (folder: string) => string }[]> {
  const { readdir } = await import('node:fs/promises');
  const found = await readdir(target, { recursive: true });
  const copies = found
    .filter((name) => name.endsWith('.raw'))
    .map((name) => {
      const disk = DISKS.find((letter) =>
        new RegExp(`(^|[/-])${letter}[.-]`).test(name.slice(name.lastIndexOf('/') + 1)),
      );
      return { path: join(target, name), disk };
    });
  if (new Set(copies.map((copy) => copy.disk)).size !== DISKS.length) {
    throw new Error(`expected the copies of ${DISKS.join(', ')}, found ${found.join(', ')}`);
  }
  return copies.map(({ path, disk }) => ({ path, source: (folder) => join(folder, 'four', `${disk}.raw`) }));
}
