import { rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CopyPlan, DiskAddress } from '@godwit/disk';
import { type Contender, compete, type Figures, timesAsFast } from '../contender.ts';
import { makeDisk } from '../disk-maker.ts';
import { runMeasured } from '../measure.ts';
import {
  mustBeEqual,
  type NbdcopySetting,
  nbdcopyCommand,
  nbdcopyDefault,
  nbdcopySettings,
  qemuImgCommand,
} from '../peers.ts';
import { runWhole, WarmProduct } from '../product-runner.ts';
import {
  atLeast,
  type Bench,
  fastest,
  type Heat,
  type Scenario,
  type ScenarioResult,
  standingOf,
} from '../scenario.ts';
import { type RunningServer, serveNbd } from '../servers.ts';

const GIB = 1_073_741_824;
const MIB = 1_048_576;

/** Plan of a first copy to a target that was just made. */
export const firstCopy: CopyPlan = {
  mode: 'compare',
  audit: 'sample',
  verify: 'none',
  executionNumber: 1,
  snapshotKey: 'bench',
  targetZeroed: true,
};

export const fullCopy: Scenario = {
  id: 'P1',
  title: 'Full copy of a sparse disk',
  async run(bench) {
    const size = bench.quick ? 16 * GIB : 64 * GIB;
    const data = bench.quick ? 512 * MIB : 2 * GIB;
    const source = join(bench.folder, 'p1-source.raw');
    await makeDisk(source, { seed: bench.seed, size, data });
    const ground = { bench, size, data, source };
    const heats = [await overNbd(ground), await betweenFiles(ground)];
    return judge(heats, size, data);
  },
};

interface Ground {
  bench: Bench;
  size: number;
  data: number;
  source: string;
}

/** A fresh target for every run, served anew; compared afterwards. */
async function withTarget(
  { bench, size, source }: Ground,
  work: (target: RunningServer, path: string, store: string) => Promise<Figures>,
): Promise<Figures> {
  const path = join(bench.folder, 'p1-target.raw');
  const store = join(tmpdir(), `godwit-bench-${process.pid}.leaves`);
  await makeEmpty(path, size);
  const server = await serveNbd(path, { socket: `${path}.sock` });
  try {
    const before = server.cpu();
    const figures = await work(server, path, store);
    const serverCpu = server.cpu() - before;
    await server.stop();
    await mustBeEqual(source, path);
    return { ...figures, serverCpu };
  } finally {
    await server.stop();
    for (const file of [path, `${path}.sock`, store]) rmSync(file, { force: true });
  }
}

/** An empty sparse file. */
export async function makeEmpty(path: string, size: number): Promise<void> {
  rmSync(path, { force: true });
  const file = await open(path, 'w');
  await file.truncate(size);
  await file.close();
}

async function overNbd(ground: Ground): Promise<Heat> {
  const { bench, data } = ground;
  const from = await serveNbd(ground.source, { socket: join(bench.folder, 'p1-source.sock'), readOnly: true });
  const warm = new WarmProduct();
  const job = (target: DiskAddress, store: string, plan: CopyPlan = firstCopy) => ({
    tasks: [{ source: nbdAddress(from, true), target, store, plan }],
  });
  const peer = (name: string, command: (target: string) => string[]): Contender => ({
    name,
    side: 'peer',
    run: () => withTarget(ground, (target) => runMeasured(command(target.uri))),
  });
  const nbdcopy = (setting: NbdcopySetting, name = setting.name): Contender =>
    peer(name, (target) => nbdcopyCommand(setting, from.uri, target));
  try {
    bench.say('P1 NBD to NBD: looking for the best setting of nbdcopy');
    const trials = await compete(
      nbdcopySettings.map((setting) => nbdcopy(setting)),
      bench.quick ? 1 : 2,
      data,
      bench.say,
    );
    const best = nbdcopySettings.find((setting) => setting.name === fastest(trials).name) ?? nbdcopyDefault;
    await withTarget(ground, (target, _path, store) => warm.run(job(nbdAddress(target, false), store)));
    bench.say('P1 NBD to NBD');
    const standings = await compete(
      [
        {
          name: 'godwit, warm worker',
          side: 'product',
          run: () => withTarget(ground, (target, _path, store) => warm.run(job(nbdAddress(target, false), store))),
        },
        {
          name: 'godwit, whole process',
          side: 'product',
          run: () => withTarget(ground, (target, _path, store) => runWhole(job(nbdAddress(target, false), store))),
        },
        {
          name: 'godwit, warm worker, whole target re-read and proven',
          side: 'product',
          run: () =>
            withTarget(ground, (target, _path, store) =>
              warm.run(job(nbdAddress(target, false), store, { ...firstCopy, verify: 'whole' })),
            ),
        },
        nbdcopy(nbdcopyDefault),
        nbdcopy(best, `nbdcopy, best of ${nbdcopySettings.length}: ${best.name}`),
        peer('qemu-img convert -W -m 16', (target) => qemuImgCommand(from.uri, target)),
      ],
      bench.rounds,
      data,
      bench.say,
    );
    return {
      title: 'NBD to NBD',
      setting: 'qemu-nbd at both ends, Unix sockets; leaf hashes and checkpoints on',
      standings,
    };
  } finally {
    await warm.stop();
    await from.stop();
  }
}

async function betweenFiles(ground: Ground): Promise<Heat> {
  const { bench, data, source } = ground;
  const warm = new WarmProduct();
  const job = (path: string, store: string) => ({
    tasks: [
      {
        source: { kind: 'file', path: source, readOnly: true } as const,
        target: { kind: 'file', path, readOnly: false } as const,
        store,
        plan: firstCopy,
      },
    ],
  });
  const contenders: Contender[] = [
    {
      name: 'godwit, warm worker',
      side: 'product',
      run: () => withTarget(ground, (_server, path, store) => warm.run(job(path, store))),
    },
    {
      name: 'godwit, whole process',
      side: 'product',
      run: () => withTarget(ground, (_server, path, store) => runWhole(job(path, store))),
    },
    {
      name: 'qemu-img convert -W -m 16',
      side: 'peer',
      run: () => withTarget(ground, (_server, path) => runMeasured(qemuImgCommand(source, path))),
    },
    {
      name: 'nbdcopy, default',
      side: 'peer',
      run: () => withTarget(ground, (_server, path) => runMeasured(nbdcopyCommand(nbdcopyDefault, source, path))),
    },
  ];
  try {
    bench.say('P1 file to file');
    const standings = await compete(contenders, bench.rounds, data, bench.say);
    return { title: 'File to file', setting: 'raw files on the same file system', standings };
  } finally {
    await warm.stop();
  }
}

/** The product's address of a server. */
export function nbdAddress(server: Pick<RunningServer, 'transport'>, readOnly: boolean): DiskAddress {
  return { kind: 'nbd', transport: server.transport, export: '', readOnly };
}

function judge(heats: Heat[], size: number, data: number): ScenarioResult {
  const [nbd, files] = heats as [Heat, Heat];
  const warm = standingOf(nbd, 'godwit, warm worker');
  const defaults = standingOf(nbd, nbdcopyDefault.name);
  const best = nbd.standings.find((standing) => standing.name.startsWith('nbdcopy, best')) ?? defaults;
  const qemu = standingOf(nbd, 'qemu-img convert -W -m 16');
  const fileQemu = standingOf(files, 'qemu-img convert -W -m 16');
  const proven = standingOf(nbd, 'godwit, warm worker, whole target re-read and proven');
  const whole = standingOf(nbd, 'godwit, whole process');
  return {
    id: fullCopy.id,
    title: fullCopy.title,
    heats,
    verdicts: [
      atLeast('warm worker >= 1.0x nbdcopy, default', 1, timesAsFast(warm, defaults), 'x'),
      atLeast('warm worker >= 1.1x qemu-img', 1.1, timesAsFast(warm, qemu), 'x'),
      atLeast('aim: warm worker >= 0.95x nbdcopy at its best', 0.95, timesAsFast(warm, best), 'x'),
      atLeast('whole process >= 1.0x nbdcopy, default', 1, timesAsFast(whole, defaults), 'x'),
      atLeast(
        'file to file >= 0.6x qemu-img',
        0.6,
        timesAsFast(standingOf(files, 'godwit, warm worker'), fileQemu),
        'x',
      ),
    ],
    notes: [
      `Disk: ${size / GIB} GiB virtual, ${data / MIB} MiB of data in runs of 64 KiB to 32 MiB. Rates count data.`,
      `Re-reading and proving the whole target takes the copy from ${warm.wall.median.toFixed(2)} to ${proven.wall.median.toFixed(2)} s.`,
      'A warm worker has copied this disk once before and does not pay for the start of Node.js; the peers are started anew each time.',
    ],
  };
}
