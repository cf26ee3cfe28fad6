import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../../testbed/free-port.ts';

const program = path.join(import.meta.dirname, '../src/main.ts');

/** A `godwit server ...` of a test, with what it wrote. */
export class RunningServer {
  readonly home: string;
  readonly url: string;
  readonly child: ChildProcess;
  /** Exit code, or the name of the signal that ended it. */
  readonly ended: Promise<number | string>;
  output = '';

  private constructor(home: string, url: string, child: ChildProcess) {
    this.home = home;
    this.url = url;
    this.child = child;
    const collect = (chunk: Buffer) => {
      this.output += chunk.toString();
    };
    child.stdout?.on('data', collect);
    child.stderr?.on('data', collect);
    this.ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal ?? 'unknown')));
  }

  static async start(
    words: string[],
    options: { home?: string; port?: number; env?: Record<string, string> } = {},
  ): Promise<RunningServer> {
    const home = options.home ?? mkdtempSync(path.join(tmpdir(), 'gws-'));
    const port = options.port ?? (await freePort());
    const child = spawn(process.execPath, [program, ...words], {
      env: {
        ...process.env,
        DATABASE_URL: '',
        GODWIT_PG_PORT: '',
        GODWIT_HOME: home,
        GODWIT_LISTEN: `127.0.0.1:${port}`,
        ...options.env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return new RunningServer(home, `http://127.0.0.1:${port}`, child);
  }

  /** Waits for the line that says that everything is there. */
  async untilReady(): Promise<void> {
    while (!this.output.includes('Godwit is ready at ')) {
      if (this.child.exitCode !== null || this.child.signalCode !== null) throw new Error(`it ended:\n${this.output}`);
      await sleep(20);
    }
  }

  /** HTTP status of a path, or 0 when nobody answers. */
  async status(route: string): Promise<number> {
    try {
      const answer = await fetch(`${this.url}${route}`);
      await answer.arrayBuffer();
      return answer.status;
    } catch (error) {
      if (error instanceof TypeError) return 0;
      throw error;
    }
  }

  /** Waits until everything is in order. */
  async untilHealthy(): Promise<void> {
    while ((await this.status('/readyz')) !== 200) await sleep(50);
  }

  /** Processes that have the home in their command line or environment. */
  processes(): { pid: number; command: string; environment: string }[] {
    const found: { pid: number; command: string; environment: string }[] = [];
    for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
      const command = readProc(name, 'cmdline');
      const environment = readProc(name, 'environ');
      if (Number(name) === process.pid) continue;
      if (!command.includes(this.home) && !environment.includes(`GODWIT_HOME=${this.home}\n`)) continue;
      found.push({ pid: Number(name), command, environment });
    }
    return found;
  }

  /** Pid of the one process whose command line matches. */
  pid(role: 'api' | 'worker' | 'postgres'): number | undefined {
    const marks = { api: /main\.ts api /, worker: /main\.ts worker /, postgres: /bin\/postgres -D / };
    return this.processes().find(({ command }) => marks[role].test(command))?.pid;
  }

  /** Waits until nothing of it runs any more. */
  async untilGone(): Promise<void> {
    while (this.processes().length > 0) await sleep(50);
  }

  /** Ends it and removes its home. */
  async clear(): Promise<void> {
    this.child.kill('SIGTERM');
    await this.ended;
    await this.untilGone();
    rmSync(this.home, { recursive: true, force: true });
  }
}

/** Text of a process's file with spaces (or line ends) for zero bytes; '' when it is gone or not ours to read. */
function readProc(pid: string, file: 'cmdline' | 'environ'): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8').replaceAll('\0', file === 'cmdline' ? ' ' : '\n');
  } catch (error) {
    if (error instanceof Error && 'code' in error) return '';
    throw error;
  }
}
