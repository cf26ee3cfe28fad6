import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { changeDisks, makeDisks, sixDisks } from './disks.ts';
import { Installation, type Role } from './installation.ts';
import { between, seeded } from './random.ts';

/** What one root run is asked to do. */
export interface RootRequest {
  seed: number;
  /** Kills spread over the executions, at seeded random moments. */
  kills: number;
  /** Executions with kills, each after the first with a changed source; one more follows in peace. Default 3. */
  executions?: number;
  /** Size of the disks, 1 = 1.3 GiB virtual, about 200 MiB of data. Default 1. */
  scale?: number;
  /** Bytes per second and transfer, so that a kill meets a running copy. Default 24 MiB/s. */
  rateLimit?: number;
  say?: (line: string) => void;
}

/** What was found. The caller asserts. */
export interface RootReport {
  kills: Record<Role, number>;
  /** Disks that the independent tool found different: name and what it said. Empty when all is well. */
  different: string[];
  disksCompared: number;
  /** Disks of which an execution sent again more than one window for each kill in it. */
  resentTooMuch: string[];
  /** The execution without a kill: bytes sent, and bytes of the leaves that had been changed before it. */
  quiet: { sent: number; changed: number };
  /** Files that nobody should have left at the source or at the target. */
  strays: string[];
  bytesResent: number;
  bytesSent: number;
  /** Ledger rows still alive although no longer needed. */
  leftovers: string[];
  executions: { number: number; status: string; seconds: number }[];
  receipts: number;
}

/** The fields of a receipt that the test reads (docs/receipt.md). */
interface Receipt {
  disk: string;
  execution_number: number;
  bytes_sent: number;
  bytes_resent: number;
}

const WINDOW = 64 * 1_048_576;

/**
 * The root test: six disks of one instance, several executions, processes killed at random, and at the end a comparison of
 * whole disks by a program that is not ours.
 */
export async function rootRun(request: RootRequest): Promise<RootReport> {
  const { seed, kills, executions = 3, scale = 1, rateLimit = 24 * 1_048_576, say = () => undefined } = request;
  const random = seeded(seed);
  const folder = mkdtempSync(path.join(tmpdir(), 'gw-root-'));
  const source = path.join(folder, 'source');
  const target = path.join(folder, 'target');
  const vm = path.join(source, 'web01');
  mkdirSync(vm, { recursive: true });
  mkdirSync(target);
  const disks = sixDisks(scale);
  makeDisks(vm, disks, random);
  const godwit = await Installation.start();
  const report: RootReport = {
    kills: { worker: 0, api: 0, postgres: 0 },
    different: [],
    disksCompared: 0,
    resentTooMuch: [],
    quiet: { sent: 0, changed: 0 },
    strays: [],
    bytesResent: 0,
    bytesSent: 0,
    leftovers: [],
    executions: [],
    receipts: 0,
  };
  try {
    const old = await godwit.endpoint('old', 'image', { path: source });
    const fresh = await godwit.endpoint('new', 'image', { path: target });
    const transfer = await godwit.transfer(old, fresh, ['web01'], { options: { rate_limit: rateLimit } });
    let killed = 0;
    const killsIn = new Map<number, number>();
    let last = false;
    // A kill that found nothing to hit in a short run is made up for in one more.
    for (let number = 1; !last; number += 1) {
      last = number > executions && killed >= kills;
      const changed = number > 1 ? changeDisks(vm, disks, random) : 0;
      if (last) report.quiet.changed = changed;
      const before = killed;
      const begun = Date.now();
      const route = await godwit.execute(transfer, last);
      const due = Math.min(kills, Math.ceil((kills * number) / executions));
      let nextKill = Date.now() + between(random, 200, 2500);
      const { status, tasks } = await godwit.ended(route, () => {
        if (killed >= due || Date.now() < nextKill) return;
        const role = (['worker', 'worker', 'api', 'postgres'] as const)[between(random, 0, 4)] ?? 'worker';
        if (godwit.kill(role)) {
          killed += 1;
          report.kills[role] += 1;
          say(`execution ${number}: kill ${killed} of ${kills}: ${role}`);
        }
        nextKill = Date.now() + between(random, 200, 2500);
      });
      killsIn.set(number, killed - before);
      report.executions.push({ number, status, seconds: (Date.now() - begun) / 1000 });
      say(`execution ${number}: ${status}`);
      if (status !== 'COMPLETED') {
        const why = tasks.flatMap((task) =>
          task.exception_details ? [`${task.task_type}: ${task.exception_details}`] : [],
        );
        const { logFile } = godwit;
        copyFileSync(logFile, path.join(tmpdir(), `godwit-root-${seed}.log`));
        throw new Error(
          `execution ${number} of seed ${seed} ended ${status}: ${why.join('; ')}\n${godwit.log.slice(-4000)}`,
        );
      }
    }
    const deployment = await godwit.get<{ id: string }>('POST', '/deployments', 'deployment', {
      deployment: { transfer_id: transfer, clone_disks: false, skip_os_morphing: true },
    });
    await godwit.deployed(deployment.id);

    const receipts = await godwit.get<{ id: string }[]>('GET', `/receipts?transfer_id=${transfer}`, 'receipts');
    report.receipts = receipts.length;
    for (const { id } of receipts) {
      const receipt = (await godwit.request('GET', `/receipts/${id}`)).body as unknown as Receipt;
      report.bytesResent += receipt.bytes_resent;
      report.bytesSent += receipt.bytes_sent;
      const number = receipt.execution_number;
      const bound = WINDOW * (killsIn.get(number) ?? 0);
      if (receipt.bytes_resent > bound) {
        report.resentTooMuch.push(`${receipt.disk} in execution ${number}: ${receipt.bytes_resent} above ${bound}`);
      }
      if (number === report.executions.length) report.quiet.sent += receipt.bytes_sent;
    }
    const found = findFiles(target);
    for (const disk of disks) {
      const copy = found.find((file) => path.basename(file).startsWith(disk.name));
      report.disksCompared += 1;
      if (copy === undefined) {
        report.different.push(`${disk.name}: no file at the target`);
        continue;
      }
      const cmp = spawnSync('cmp', [path.join(vm, `${disk.name}.raw`), copy], { encoding: 'utf8' });
      if (cmp.status !== 0) report.different.push(`${disk.name}: ${cmp.stdout}${cmp.stderr}`);
    }
    const alive = async (): Promise<string[]> => {
      const rows = await godwit.get<{ kind: string; name: string; keep: string }[]>('GET', '/ledger', 'ledger');
      return rows.filter((row) => row.keep === 'execution').map((row) => `${row.kind} ${row.name}`);
    };
    // The reaper works behind the run: what it needs is a moment, not luck.
    await godwit.until('reaped', async () => (await alive()).length === 0, 60_000).catch(() => undefined);
    report.leftovers = await alive();
    // After it: what a kill left is a file until it is reaped.
    const wanted = new Set(disks.map((disk) => found.find((file) => path.basename(file).startsWith(disk.name))));
    const descriptions = /\/web01\/(web01\.(ovf|xml)|\.godwit(-origins)?\.json)$/;
    const alien = findFiles(target).filter((file) => !wanted.has(file) && !descriptions.test(file));
    const made = new Set(disks.map((disk) => path.join(vm, `${disk.name}.raw`)));
    report.strays = [...alien, ...findFiles(source).filter((file) => !made.has(file))];
    return report;
  } finally {
    await godwit.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function findFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
}
