// The product's copier as a process of its own, the way a worker uses it.
//   node perf/product.ts JOB          does one job (JSON) and prints its result: a whole process, start and cold code included
//   node perf/product.ts --serve      does the job of each line of standard input and prints each result: a warm worker
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { type CopyPlan, copyDisk, type DiskAddress, FileCheckpointStore, openDisk } from '@godwit/disk';
import { peakOf } from './measure.ts';

/** One disk to copy. */
export interface CopyTask {
  source: DiskAddress;
  target: DiskAddress;
  /** File of the checkpoints and leaves. */
  store: string;
  plan: CopyPlan;
}

export interface ProductJob {
  tasks: CopyTask[];
  /** Disks at once. Default 1. */
  parallel?: number;
  /** One worker thread per running copy, as in a worker. Default false: all on one thread. */
  threads?: boolean;
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

if (isMainThread) await main(process.argv.slice(2));
else parentPort?.postMessage(await copyOne(workerData as CopyTask));

async function main(args: readonly string[]): Promise<void> {
  if (args[0] !== '--serve') {
    process.stdout.write(`${JSON.stringify(await work(JSON.parse(args[0] ?? '') as ProductJob))}\n`);
    return;
  }
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await work(JSON.parse(line) as ProductJob))}\n`);
  }
}

async function work(job: ProductJob): Promise<ProductResult> {
  const before = process.cpuUsage();
  const began = performance.now();
  const sum = { bytesRead: 0, bytesSent: 0 };
  const queue = [...job.tasks];
  const run = job.threads ? copyInThread : copyOne;
  const lane = async (): Promise<void> => {
    for (let task = queue.shift(); task !== undefined; task = queue.shift()) {
      const done = await run(task);
      sum.bytesRead += done.bytesRead;
      sum.bytesSent += done.bytesSent;
    }
  };
  await Promise.all(Array.from({ length: job.parallel ?? 1 }, lane));
  const wall = (performance.now() - began) / 1_000;
  const { user, system } = process.cpuUsage(before);
  return { wall, cpu: (user + system) / 1e6, peakBytes: peakOf('self'), ...sum };
}

async function copyOne(task: CopyTask): Promise<{ bytesRead: number; bytesSent: number }> {
  const store = await FileCheckpointStore.open(task.store);
  const [source, target] = await Promise.all([openDisk(task.source), openDisk(task.target)]);
  try {
    const { counters, size } = await copyDisk({ source, target, store, plan: task.plan });
    await store.complete({ number: task.plan.executionNumber, size });
    return { bytesRead: counters.bytesRead, bytesSent: counters.bytesSent };
  } finally {
    await Promise.all([source.close(), target.close(), store.close()]);
  }
}

function copyInThread(task: CopyTask): Promise<{ bytesRead: number; bytesSent: number }> {
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: task });
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}
