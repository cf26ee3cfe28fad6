import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { standBack } from './niceness.ts';

/** What a child gets first, over its private channel: never in argv or the environment. */
export interface StartMessage {
  type: 'start';
  databaseUrl: string;
}

/** What a child says. */
export type ChildMessage = { type: 'ready' };

/** Exit code of a process that was started wrongly: starting it again changes nothing. */
export const EXIT_USAGE = 2;

export interface KeptProcessOptions {
  name: string;
  /** Arguments of Node.js: flags, program, its arguments. */
  args: string[];
  env: NodeJS.ProcessEnv;
  /** Asked at each start: the address of the database may have changed. */
  startMessage: () => StartMessage;
  log: Logger;
  /** How much it stands back from other processes when the processors are busy: 0 (default) to 19, as `nice` counts. */
  niceness?: number;
  /** It said that it is ready; at each start. */
  onReady?: () => void;
  /** It ended with EXIT_USAGE before it was ever ready: it is not started again. */
  onHopeless?: () => void;
}

const BACKOFF = { first: 100, most: 5_000 };
/** Milliseconds of service after which a death counts as a new misfortune, not as the same one again. */
const SETTLED = 2_000;

/** A child that is started again whenever it ends, at once or, when it keeps ending, up to 5 s later. */
export class KeptProcess {
  readonly #options: KeptProcessOptions;
  #child: ChildProcess | undefined;
  #wait = BACKOFF.first;
  #retry: NodeJS.Timeout | undefined;
  #stopping = false;
  #everReady = false;

  constructor(options: KeptProcessOptions) {
    this.#options = options;
  }

  /** Pid of the present child. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  start(): void {
    const { name, log } = this.#options;
    const child = startChild(this.#options);
    this.#child = child;
    if (child.pid !== undefined) this.#standBack(child.pid);
    let readyAt: number | undefined;
    child.on('message', (message: ChildMessage) => {
      if (message.type !== 'ready') return;
      readyAt = performance.now();
      this.#everReady = true;
      this.#options.onReady?.();
    });
    child.on('error', (error) => log.error({ err: error }, `cannot start the ${name} process`));
    child.on('close', (code, signal) => {
      this.#child = undefined;
      if (this.#stopping) return;
      if (code === EXIT_USAGE && !this.#everReady) {
        this.#options.onHopeless?.();
        return;
      }
      if (readyAt !== undefined && performance.now() - readyAt > SETTLED) this.#wait = BACKOFF.first;
      const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
      log.warn(`the ${name} process ended (${how}); it starts again in ${this.#wait} ms`);
      this.#retry = setTimeout(() => this.start(), this.#wait);
      this.#wait = Math.min(this.#wait * 2, BACKOFF.most);
    });
  }

  /** Before it has threads and children: they have the niceness of who starts them. */
  #standBack(pid: number): void {
    const { log, name, niceness = 0 } = this.#options;
    try {
      standBack(pid, niceness);
    } catch (error) {
      log.debug({ err: error }, `the ${name} process keeps its priority`);
    }
  }

  /** Ends the present child; it comes back by itself. */
  restart(): void {
    this.#child?.kill('SIGTERM');
  }

  /** Asks it to end, kills it after `graceMs`, and starts it no more. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#retry);
    const child = this.#child;
    if (child === undefined) return;
    const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
    child.kill('SIGTERM');
    const ended = await Promise.race([closed.then(() => true), sleep(graceMs, false, { ref: false })]);
    if (ended) return;
    this.#options.log.warn(`the ${this.#options.name} process did not end in ${graceMs / 1000} s and is killed`);
    child.kill('SIGKILL');
    await closed;
  }
}

/** Runs a child once to its end; its exit code, or 1 when a signal ended it. */
export async function runOnce(
  options: Omit<KeptProcessOptions, 'onReady' | 'onHopeless'>,
  abort: AbortSignal,
): Promise<number> {
  const child = startChild(options);
  const onAbort = () => child.kill('SIGTERM');
  abort.addEventListener('abort', onAbort);
  const code = await new Promise<number>((resolve) => {
    child.on('error', (error) => {
      options.log.error({ err: error }, `cannot start the ${options.name} process`);
      resolve(1);
    });
    child.on('close', (exit) => resolve(exit ?? 1));
  });
  abort.removeEventListener('abort', onAbort);
  return code;
}

function startChild(options: Pick<KeptProcessOptions, 'args' | 'env' | 'startMessage'>): ChildProcess {
  const [command, ...args] = [...bindToParent(), process.execPath, ...options.args];
  const child = spawn(command!, args, {
    env: options.env,
    // A session of its own: Ctrl-C in the terminal reaches the supervisor alone, which then ends all in order.
    detached: true,
    stdio: ['ignore', process.stderr.fd, process.stderr.fd, 'ipc'],
  });
  // A child that dies before it has read it is dealt with where its end is noticed.
  child.send(options.startMessage(), () => undefined);
  return child;
}

let binding: string[] | undefined;

/** Words before a command that make the kernel kill it when this process dies, where the system can. */
function bindToParent(): string[] {
  if (binding === undefined) {
    const words = ['setpriv', '--pdeathsig', 'KILL', '--'];
    const possible =
      process.platform === 'linux' &&
      spawnSync('setpriv', [...words.slice(1), 'true'], { stdio: 'ignore' }).status === 0;
    binding = possible ? words : [];
  }
  return binding;
}
