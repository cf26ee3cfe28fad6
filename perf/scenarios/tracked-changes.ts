import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Contender, compete, type Figures } from '../contender.ts';
import { type ChangePattern, chooseChanges, LEAF, makeDisk, rewrite, type WrittenRun } from '../disk-maker.ts';
import { runMeasured } from '../measure.ts';
import { mustBeEqual } from '../peers.ts';
import { runWhole, WarmProduct } from '../product-runner.ts';
import { atMost, type Bench, type Heat, type Scenario, standingOf, type Verdict } from '../scenario.ts';
import { serveNbd, startLink } from '../servers.ts';
import { nbdAddress } from './full-copy.ts';
import { laterCopy, makeReplica, type Replica, removeReplica, withReplica } from './replica.ts';

const MIB = 1_048_576;
/** Round trip, ms, and cap of the link to the target: 1 Gb/s over a good distance. */
const RTT = 50;
const CAP = 125_000_000;
const PATTERNS: readonly ChangePattern[] = ['uniform', 'zipf', 'log'];

export const trackedChanges: Scenario = {
  id: 'P2',
  title: '1 % changed, the tracker tells where',
  async run(bench) {
    const size = bench.quick ? 2_048 * MIB : 8_192 * MIB;
    const data = bench.quick ? 256 * MIB : 1_536 * MIB;
    const raw = join(bench.folder, 'p2.raw');
    const runs = await makeDisk(raw, { seed: bench.seed, size, data });
    const replica = await makeReplica(bench.folder, 'p2', raw, size);
    const heats: Heat[] = [];
    const verdicts: Verdict[] = [];
    try {
      for (const pattern of PATTERNS) {
        const changes = chooseChanges(runs, Math.ceil(data / LEAF / 100), pattern, bench.seed);
        const { heat, judged } = await oneHeat(bench, raw, replica, changes, pattern);
        heats.push(heat);
        verdicts.push(...judged);
      }
    } finally {
      removeReplica(replica);
    }
    return {
      id: trackedChanges.id,
      title: trackedChanges.title,
      heats,
      verdicts,
      notes: [
        `Source: qcow2 with a dirty bitmap behind qemu-nbd, ${size / MIB} MiB virtual, ${data / MIB} MiB of data; target behind a link of ${RTT} ms and ${CAP / 1e6} MB/s. Rates count changed bytes.`,
        'Audit `sample` is on: one group of 64 MiB in 16 is read and compared although the tracker calls it unchanged.',
        'Models: bytes that a tool of that granularity sends, computed from the same changes; they were not run.',
      ],
    };
  },
};

async function oneHeat(
  bench: Bench,
  raw: string,
  replica: Replica,
  changes: readonly WrittenRun[],
  pattern: ChangePattern,
): Promise<{ heat: Heat; judged: Verdict[] }> {
  const changed = changes.reduce((sum, run) => sum + run.length, 0);
  const now = join(bench.folder, `p2-${pattern}.raw`);
  const tracked = join(bench.folder, `p2-${pattern}.qcow2`);
  await runMeasured(['cp', '--sparse=always', raw, now]);
  await runMeasured(['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', raw, tracked]);
  await runMeasured(['qemu-img', 'bitmap', '--add', tracked, 'since']);
  await rewrite(now, changes, `${bench.seed}/${pattern}/new`);
  await writeThrough(tracked, now, changes);
  const source = await serveNbd(tracked, {
    socket: join(bench.folder, 'p2-source.sock'),
    readOnly: true,
    format: 'qcow2',
    bitmap: 'since',
  });
  const warm = new WarmProduct();
  const from = { ...nbdAddress(source, true), changedContext: 'qemu:dirty-bitmap:since' };
  const run = (work: (job: Parameters<WarmProduct['run']>[0]) => Promise<Figures>): Promise<Figures> =>
    withReplica(replica, async (path, store) => {
      const server = await serveNbd(path, { socket: join(bench.folder, 'p2-target.sock') });
      const link = await startLink(join(bench.folder, 'p2-target.sock'), RTT, CAP);
      try {
        await link.carried();
        const target = nbdAddress({ transport: { host: '127.0.0.1', port: link.port } }, false);
        const figures = await work({ tasks: [{ source: from, target, store, plan: laterCopy('changed') }] });
        const { there } = await link.carried();
        await server.stop();
        await mustBeEqual(now, path);
        return { ...figures, wireBytes: there };
      } finally {
        await link.stop();
        await server.stop();
      }
    });
  const contenders: Contender[] = [
    { name: 'godwit, warm worker', side: 'product', run: () => run((job) => warm.run(job)) },
    { name: 'godwit, whole process', side: 'product', run: () => run(runWhole) },
  ];
  try {
    bench.say(`P2 ${pattern}: ${(changed / MIB).toFixed(1)} MiB changed in ${changes.length} runs`);
    await run((job) => warm.run(job));
    const standings = await compete(contenders, bench.rounds, changed, bench.say);
    const heat = { title: `Changes: ${pattern}.`, setting: setting(changed, changes), standings };
    return { heat, judged: judge(heat, pattern, changed) };
  } finally {
    await warm.stop();
    await source.stop();
    for (const file of [now, tracked]) rmSync(file, { force: true });
  }
}

/** Writes the changed ranges of `now` into the qcow2 image through a server, so that its bitmap notes them. */
async function writeThrough(tracked: string, now: string, changes: readonly WrittenRun[]): Promise<void> {
  const { openDisk } = await import('@godwit/disk');
  const socket = `${tracked}.sock`;
  const server = await serveNbd(tracked, { socket, format: 'qcow2' });
  const [from, to] = await Promise.all([
    openDisk({ kind: 'file', path: now, readOnly: true }),
    openDisk(nbdAddress(server, false)),
  ]);
  try {
    for (const { offset, length } of changes) {
      const bytes = new Uint8Array(length);
      await from.read(offset, bytes);
      for (let at = 0; at < length; at += MIB) await to.write(offset + at, bytes.subarray(at, at + MIB));
    }
    await to.flush();
  } finally {
    await Promise.all([from.close(), to.close()]);
    await server.stop();
    rmSync(socket, { force: true });
  }
}

function setting(changed: number, changes: readonly WrittenRun[]): string {
  const models: [string, number][] = [
    ['exact extents, one at a time', changed],
    ['gaps up to 16 MiB joined', joinedBytes(changes, 16 * MIB)],
    ['10 MiB chunks', chunkBytes(changes, 10 * MIB)],
  ];
  const told = models.map(
    ([name, bytes]) => `${name} ${(bytes / MIB).toFixed(0)} MiB (${(bytes / changed).toFixed(1)}x)`,
  );
  return `${(changed / MIB).toFixed(1)} MiB changed in ${changes.length} runs. Models of what others send: ${told.join('; ')}.`;
}

/** Bytes sent by a tool that joins changes whose gap is at most `gap`. Holes in between are counted: an upper bound. */
export function joinedBytes(changes: readonly WrittenRun[], gap: number): number {
  let bytes = 0;
  let end = Number.NEGATIVE_INFINITY;
  for (const run of changes) {
    bytes += run.offset - end <= gap ? run.offset + run.length - end : run.length;
    end = run.offset + run.length;
  }
  return bytes;
}

/** Bytes sent by a tool that sends whole chunks. */
export function chunkBytes(changes: readonly WrittenRun[], chunk: number): number {
  const chunks = new Set<number>();
  for (const run of changes) {
    for (let at = Math.floor(run.offset / chunk); at * chunk < run.offset + run.length; at += 1) chunks.add(at);
  }
  return chunks.size * chunk;
}

function judge(heat: Heat, pattern: string, changed: number): Verdict[] {
  const warm = standingOf(heat, 'godwit, warm worker');
  const wire = Math.max(...warm.rounds.map((round) => round.wireBytes ?? 0));
  const ideal = changed / CAP + (4 * RTT) / 1_000;
  return [
    atMost(`${pattern}: bytes on the wire <= 1.1x bytes changed`, 1.1, wire / changed, 'x'),
    atMost(
      `${pattern}: wall <= 1.3x (changed / link + 4 RTT = ${ideal.toFixed(2)} s)`,
      1.3,
      warm.wall.median / ideal,
      'x',
    ),
  ];
}
