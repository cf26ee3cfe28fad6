// The product's copier as a process of its own, the way a worker uses it.
//   node perf/product.ts FILE         does the job in FILE (JSON) and prints its result: a whole process, start and cold
//                                     code included
//   node perf/product.ts --serve      does the job of each line of standard input and prints each result: a warm worker,
//                                     whose copies run in threads, as in a worker
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { type CopyJob, CopyPool, type CopyResult, FileCheckpointStore, runCopyJob } from '@godwit/disk';
import { peakOf } from './measure.ts';

/** One disk to copy. */
export interface CopyTask extends Pick<CopyJob, 'source' | 'target' | 'plan'> {
  /** File of the checkpoints and leaves. */
  store: string;
}

export interface ProductJob {
  tasks: CopyTask[];
  /** Disks at once. Default 1; more than one: a thread each. */
  parallel?: number;
}

export interface ProductResult {
  /** Seconds of the work alone. */
  wall: number;
  /** Processor seconds of the process meanwhile. */
  cpu: number;
  /** Peak resident bytes of the process since it started. */
  peakBytes: number;
  bytesRead: number;
  bytesSent: number;
}

type Copier = (task: CopyTask, store: FileCheckpointStore) => Promise<CopyResult>;

await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<void> {
  if (args[0] !== '--serve') {
    process.stdout.write(
      `${JSON.stringify(await work(JSON.parse(readFileSync(args[0] ?? '', 'utf8')) as ProductJob, undefined))}\n`,
    );
    return;
  }
  // Threads are kept for the whole bench: the turns of the peers lie between two copies.
  const pool = new CopyPool({ idleMs: 3_600_000 });
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await work(JSON.parse(line) as ProductJob, pool))}\n`);
  }
  await pool.close();
}

async function work(job: ProductJob, warm: CopyPool | undefined): Promise<ProductResult> {
  const before = process.cpuUsage();
  const began = performance.now();
  const parallel = job.parallel ?? 1;
  const pool = warm ?? (parallel > 1 ? new CopyPool({ copies: parallel }) : undefined);
  const sum = { bytesRead: 0, bytesSent: 0 };
  const queue = [...job.tasks];
  const { signal } = new AbortController();
  const copy: Copier =
    pool === undefined
      ? (task, store) => runCopyJob(task, { store, signal })
      : (task, store) => pool.copy(task, { store, signal });
  const lane = async (): Promise<void> => {
    for (let task = queue.shift(); task !== undefined; task = queue.shift()) {
      const { counters } = await proven(task, copy);
      sum.bytesRead += counters.bytesRead;
      sum.bytesSent += counters.bytesSent;
    }
  };
  await Promise.all(Array.from({ length: parallel }, lane));
  if (warm === undefined) await pool?.close();
  const wall = (performance.now() - began) / 1_000;
  const { user, system } = process.cpuUsage(before);
  return { wall, cpu: (user + system) / 1e6, peakBytes: peakOf('self'), ...sum };
}

/** The copy, and the note that it is complete: what the engine does with the receipt. */
async function proven(task: CopyTask, copy: Copier): Promise<CopyResult> {
  const store = await FileCheckpointStore.open(task.store);
  try {
    const { source, target, plan } = task;
    const result = await copy({ source, target, plan, store: task.store }, store);
    await store.complete({ number: plan.executionNumber, size: result.size });
    return result;
  } finally {
    await store.close();
  }
}
