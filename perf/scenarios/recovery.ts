import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Installation } from '../../testbed/spine/installation.ts';
import { makeDisk } from '../disk-maker.ts';
import { mustBeEqual } from '../peers.ts';
import { atMost, type Bench, type Scenario } from '../scenario.ts';
import { summarize } from '../statistics.ts';

const MIB = 1_048_576;
const program = join(import.meta.dirname, '../../packages/server/src/main.ts');

/** A worker is killed in the middle of a copy: until when do bytes flow again, and how many are sent twice. */
export const recovery: Scenario = {
  id: 'C4',
  title: 'Recovery of a copy whose worker was killed',
  async run(bench) {
    const rounds = Math.min(bench.rounds, bench.quick ? 1 : 5);
    const data = (bench.quick ? 192 : 512) * MIB;
    const size = data * 2;
    const from = join(bench.folder, 'c4-from');
    mkdirSync(join(from, 'vm'), { recursive: true });
    await makeDisk(join(from, 'vm', 'disk.raw'), { seed: bench.seed, size, data });
    const here: Loss[] = [];
    const elsewhere: Loss[] = [];
    for (let round = 0; round < rounds; round += 1) {
      here.push(await lose(bench, from, data, false));
      bench.say(`  same place: ${JSON.stringify(here.at(-1))}`);
    }
    for (let round = 0; round < Math.min(rounds, 3); round += 1) {
      elsewhere.push(await lose(bench, from, data, true));
      bench.say(`  elsewhere: ${JSON.stringify(elsewhere.at(-1))}`);
    }
    const row = (name: string, losses: readonly Loss[]): string[] => [
      name,
      ...spread(losses.map((loss) => loss.silent)),
      ...spread(losses.map((loss) => loss.again / MIB)),
    ];
    const most = (losses: readonly Loss[], of: (loss: Loss) => number): number => Math.max(...losses.map(of));
    return {
      id: recovery.id,
      title: recovery.title,
      heats: [],
      tables: [
        {
          title: 'SIGKILL of the worker in the middle of a copy',
          setting: `one disk, ${data / MIB} MiB of data at 64 MiB/s, folder to folder; ${here.length} and ${elsewhere.length} times`,
          head: ['where it goes on', 'seconds without a write, median', 'most', 'MiB written twice, median', 'most'],
          rows: [row('in the same place: its supervisor starts it again', here), row('on another worker', elsewhere)],
        },
      ],
      verdicts: [
        atMost(
          'same place: bytes flow again <= 5 s',
          5,
          most(here, (loss) => loss.silent),
          ' s',
        ),
        atMost(
          'another worker: bytes flow again <= 35 s',
          35,
          most(elsewhere, (loss) => loss.silent),
          ' s',
        ),
        atMost('written twice <= 64 MiB', 64, most([...here, ...elsewhere], (loss) => loss.again) / MIB, ' MiB'),
      ],
      notes: [
        'Seconds from the kill to the first change of the target file; bytes by `wchar` of the killed worker and of its successor (all that they gave to the kernel: the network and the database too), less the data of the disk.',
        'Every target was compared with its source afterwards.',
      ],
    };
  },
};

interface Loss {
  /** Seconds. */
  silent: number;
  /** Bytes. */
  again: number;
}

const spread = (figures: readonly number[]): string[] => {
  const { median, max } = summarize(figures);
  return [median.toFixed(2), max.toFixed(2)];
};

async function lose(bench: Bench, from: string, data: number, toAnother: boolean): Promise<Loss> {
  const to = join(bench.folder, 'c4-to');
  mkdirSync(to);
  const installation = await Installation.start();
  const [own = 0] = installation.pids('worker');
  const doomed = toAnother ? await takeAway(installation) : undefined;
  try {
    const origin = await installation.endpoint('from', 'image', { path: from });
    const destination = await installation.endpoint('to', 'image', { path: to });
    const options = { rate_limit: 64 * MIB, verify: 'changed' };
    const route = await installation.execute(await installation.transfer(origin, destination, ['vm'], { options }));
    let file = '';
    await installation.until(
      'copying',
      async () => {
        file = join(
          to,
          readdirSync(to, { recursive: true, encoding: 'utf8' }).find((name) => name.endsWith('.raw')) ?? '',
        );
        return file !== to && statSync(file).blocks * 512 > data / 3;
      },
      120_000,
    );
    await doomed?.giveBack();
    const pid = doomed?.pid ?? own;
    process.kill(pid, 'SIGSTOP');
    // What it gave to the kernel before; of an heir that runs already only what comes now.
    const before = writtenBy(pid) - (doomed === undefined ? 0 : writtenBy(own));
    const killed = Date.now();
    process.kill(pid, 'SIGKILL');
    await sleep(20);
    const still = statSync(file).mtimeMs;
    while (statSync(file).mtimeMs === still) await sleep(5);
    const silent = (statSync(file).mtimeMs - killed) / 1_000;
    const ended = await installation.ended(route);
    if (ended.status !== 'COMPLETED') throw new Error(`the execution ended ${ended.status}`);
    await mustBeEqual(join(from, 'vm', 'disk.raw'), file);
    const [heir = 0] = installation.pids('worker');
    return { silent, again: Math.max(0, before + writtenBy(heir) - data) };
  } finally {
    doomed?.end();
    await installation.stop();
    rmSync(to, { recursive: true, force: true });
  }
}

interface Service {
  id: string;
  status: string;
}

interface SecondWorker {
  pid: number;
  /** Lets the first one work again. */
  giveBack(): Promise<void>;
  end(): void;
}

/** Starts a second worker that nobody starts again, and has the first one take nothing. */
async function takeAway(installation: Installation): Promise<SecondWorker> {
  const list = (): Promise<Service[]> => installation.get('GET', '/services', 'services');
  const enable = async (id: string, enabled: boolean): Promise<void> => {
    await installation.get('PUT', `/services/${id}`, 'service', { service: { enabled } });
  };
  const [first] = await list();
  if (first === undefined) throw new Error('there is no worker');
  await enable(first.id, false);
  const child = spawn(process.execPath, [program, 'worker'], {
    env: { ...process.env, GODWIT_HOME: installation.home, DATABASE_URL: '' },
    stdio: 'ignore',
  });
  await installation.until(
    'up',
    async () => (await list()).filter(({ status }) => status === 'UP').length === 2,
    60_000,
  );
  // The first one knows with its next heartbeat.
  await sleep(6_000);
  return {
    pid: child.pid ?? 0,
    giveBack: async () => {
      await enable(first.id, true);
    },
    end: () => void child.kill('SIGKILL'),
  };
}

/** Bytes that a process has given to the kernel. */
function writtenBy(pid: number): number {
  return Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1] ?? 0);
}
