import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Installation } from './installation.ts';

const program = path.join(import.meta.dirname, '../../packages/server/src/main.ts');

/** A `godwit server worker` of its own for a region of an installation, in a container's process namespace if wanted. */
export class RegionWorker {
  /** Exit code; null: ended by a signal. */
  readonly exited: Promise<number | null>;
  log = '';
  readonly #child: ChildProcess;
  readonly #contained: boolean;

  /** @param contained needs root: its processes cannot be looked at by workers outside */
  constructor(godwit: Installation, region: string, contained: boolean) {
    const container = contained ? ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'] : [];
    const [command = '', ...args] = [...container, process.execPath, program, 'worker', '--region', region];
    this.#contained = contained;
    this.#child = spawn(command, args, {
      env: { ...process.env, GODWIT_HOME: godwit.home, DATABASE_URL: godwit.databaseUrl() },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.log += chunk.toString();
      });
    }
    this.exited = new Promise((resolve) => this.#child.once('exit', resolve));
  }

  get works(): boolean {
    if (this.#child.exitCode !== null) throw new Error(`the worker ended with ${this.#child.exitCode}\n${this.log}`);
    return this.log.includes('worker takes work');
  }

  signal(name: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void {
    const { pid } = this.#child;
    // In a container it is the only child of what keeps that.
    const own = this.#contained ? Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()) : pid;
    // Zero would be the test itself.
    if (!own) throw new Error(`the worker does not run\n${this.log}`);
    process.kill(own, name);
  }

  /** SIGKILL, whatever its state: the first process of a container takes all others with it. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.signal('SIGKILL');
    await this.exited;
  }
}
