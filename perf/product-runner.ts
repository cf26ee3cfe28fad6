import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { runMeasured } from './measure.ts';
import type { ProductJob, ProductResult } from './product.ts';

const program = fileURLToPath(new URL('./product.ts', import.meta.url));

/** Flags of Node.js with which the server starts its workers. */
const FLAGS = ['--max-semi-space-size=4'];
/** The environment that the server gives them: compiled code is kept, as after the first start of an installation. */
const ENVIRONMENT = { MALLOC_ARENA_MAX: '2', NODE_COMPILE_CACHE: join(tmpdir(), 'godwit-bench-compiled') };

/** Figures of the product and what it moved. */
export interface ProductFigures {
  wall: number;
  cpu: number;
  peakBytes: number;
  bytesSent: number;
  bytesRead: number;
}

/** Starts the product once, so that its compiled code is kept. */
export async function installProduct(): Promise<void> {
  await runWhole({ tasks: [] });
}

/** One job in a process of its own: start of Node.js, loading and cold code are in the figures. */
export async function runWhole(job: ProductJob): Promise<ProductFigures> {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-job-'));
  const file = join(folder, 'job.json');
  writeFileSync(file, JSON.stringify(job));
  const measured = await runMeasured([process.execPath, ...FLAGS, program, file], ENVIRONMENT).finally(() =>
    rmSync(folder, { recursive: true, force: true }),
  );
  const { bytesSent, bytesRead, peakBytes } = JSON.parse(measured.stdout) as ProductResult;
  return {
    wall: measured.wall,
    cpu: measured.cpu,
    peakBytes: Math.max(peakBytes, measured.peakBytes),
    bytesSent,
    bytesRead,
  };
}

/** A worker that has been running for a while. */
export class WarmProduct {
  private readonly child: ChildProcess;
  private readonly lines: Interface;

  constructor() {
    this.child = spawn(process.execPath, [...FLAGS, program, '--serve'], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, ...ENVIRONMENT },
    });
    if (this.child.stdout === null) throw new Error('no pipe to the product');
    this.lines = createInterface({ input: this.child.stdout });
  }

  async run(job: ProductJob): Promise<ProductFigures> {
    const answer = new AbortController();
    const { signal } = answer;
    try {
      this.child.stdin?.write(`${JSON.stringify(job)}\n`);
      const [said] = await Promise.race([once(this.lines, 'line', { signal }), once(this.child, 'exit', { signal })]);
      if (typeof said !== 'string') throw new Error(`the product ended with ${String(said)}`);
      return JSON.parse(said) as ProductResult;
    } finally {
      answer.abort();
    }
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return;
    const exited = once(this.child, 'exit');
    this.child.stdin?.end();
    await exited;
  }
}
