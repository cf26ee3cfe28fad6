import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Contender, compete, type Figures, timesAsFast } from '../contender.ts';
import { makeDisk } from '../disk-maker.ts';
import { runMeasured } from '../measure.ts';
import { mustBeEqual, type NbdcopySetting, nbdcopyCommand, nbdcopyDefault, qemuImgCommand } from '../peers.ts';
import { WarmProduct } from '../product-runner.ts';
import { atLeast, type Bench, fastest, type Heat, type Scenario, standingOf, type Verdict } from '../scenario.ts';
import { type RunningServer, serveNbd, startLink } from '../servers.ts';
import { firstCopy, makeEmpty, nbdAddress } from './full-copy.ts';

const MIB = 1_048_576;
/** Cap of the link, bytes per second: 1 Gb/s. */
const CAP = 125_000_000;

const wide: NbdcopySetting = {
  name: 'nbdcopy, 8 connections, 512 KiB x64',
  flags: ['--threads=4', '--connections=8', '--request-size=524288', '--requests=64'],
};

export const longLink: Scenario = {
  id: 'P5',
  title: 'Long link',
  async run(bench) {
    const data = bench.quick ? 64 * MIB : 512 * MIB;
    const source = join(bench.folder, 'p5.raw');
    await makeDisk(source, { seed: bench.seed, size: data, data });
    const from = await serveNbd(source, { socket: join(bench.folder, 'p5-source.sock'), readOnly: true });
    const heats: Heat[] = [];
    const verdicts: Verdict[] = [];
    try {
      for (const rtt of bench.quick ? [50] : [0, 20, 50, 100]) {
        const heat = await oneHeat(bench, from, source, data, rtt);
        heats.push(heat);
        verdicts.push(...judge(heat, rtt, data));
      }
    } finally {
      await from.stop();
    }
    return {
      id: longLink.id,
      title: longLink.title,
      heats,
      verdicts,
      notes: [
        `${data / MIB} MiB, dense. The link delays and caps each direction at ${CAP / 1e6} MB/s in user space and holds 3 MiB per connection; it loses nothing and has no congestion control.`,
        'At 0 and 20 ms two rounds.',
        'No stall, loss or duplicate data was modelled; rsync over ssh was not run.',
      ],
    };
  },
};

async function oneHeat(bench: Bench, from: RunningServer, source: string, data: number, rtt: number): Promise<Heat> {
  const warm = new WarmProduct();
  const path = join(bench.folder, 'p5-target.raw');
  const store = join(bench.folder, 'p5.leaves');
  const through = async (work: (port: number) => Promise<Figures>): Promise<Figures> => {
    await makeEmpty(path, data);
    const server = await serveNbd(path, { socket: `${path}.sock` });
    const link = await startLink(`${path}.sock`, rtt, CAP);
    try {
      const figures = await work(link.port);
      const { there } = await link.carried();
      await server.stop();
      await mustBeEqual(source, path);
      return { ...figures, wireBytes: there };
    } finally {
      await link.stop();
      await server.stop();
      for (const file of [path, `${path}.sock`, store]) rmSync(file, { force: true });
    }
  };
  const nbdcopy = (setting: NbdcopySetting): Contender => ({
    name: setting.name,
    side: 'peer',
    run: () => through((port) => runMeasured(nbdcopyCommand(setting, from.uri, `nbd://127.0.0.1:${port}`))),
  });
  const product = (): Promise<Figures> =>
    through((port) =>
      warm.run({
        tasks: [
          {
            source: nbdAddress(from, true),
            target: nbdAddress({ transport: { host: '127.0.0.1', port } }, false),
            store,
            plan: firstCopy,
          },
        ],
      }),
    );
  const contenders: Contender[] = [
    { name: 'godwit, warm worker', side: 'product', run: product },
    nbdcopy(nbdcopyDefault),
    nbdcopy(wide),
    {
      name: 'qemu-img convert -W -m 16',
      side: 'peer',
      run: () => through((port) => runMeasured(qemuImgCommand(from.uri, `nbd://127.0.0.1:${port}`))),
    },
  ];
  try {
    bench.say(`P5 at ${rtt} ms`);
    await product();
    const rounds = rtt < 50 ? Math.min(bench.rounds, 2) : bench.rounds;
    const standings = await compete(contenders, rounds, data, bench.say);
    return { title: `Round trip ${rtt} ms`, setting: `${CAP / 1e6} MB/s`, standings };
  } finally {
    await warm.stop();
  }
}

function judge(heat: Heat, rtt: number, data: number): Verdict[] {
  const ours = standingOf(heat, 'godwit, warm worker');
  const best = fastest(heat.standings.filter((standing) => standing.name.startsWith('nbdcopy')));
  const share = data / CAP / ours.wall.median;
  const verdicts = [atLeast(`${rtt} ms: >= 1.0x nbdcopy at its best (${best.name})`, 1, timesAsFast(ours, best), 'x')];
  if (rtt === 50) verdicts.unshift(atLeast('50 ms: >= 90 % of the cap', 0.9, share, ''));
  if (rtt === 100) verdicts.unshift(atLeast('100 ms: >= 80 % of the cap', 0.8, share, ''));
  return verdicts;
}
