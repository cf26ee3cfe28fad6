import { get } from 'node:http';
import module from 'node:module';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type EmbeddedPostgres, startPostgres } from '@godwit/store/embedded-postgres';
import type { Logger } from 'pino';
import { type Config, localUrl } from './config.ts';
import { homePaths, prepareHome, takeLock } from './home.ts';
import { DATABASE } from './home-database.ts';
import { EXIT_USAGE, KeptProcess, runOnce, type StartMessage } from './kept-process.ts';

/** Milliseconds that children get to end before they are killed. */
const GRACE = 10_000;
/**
 * Flags of Node.js for the API and the worker. Young objects get 4 MiB instead of up to 32: measured under load, the API
 * takes 180 MB instead of 290 and answers as fast.
 */
const FLAGS = ['--max-semi-space-size=4'];
const BACKOFF = { first: 100, most: 5_000 };

/**
 * `server all`: the embedded Postgres (unless there is a DATABASE_URL), the migrations, the API and one worker; whatever
 * dies is started again. Runs until SIGINT or SIGTERM, then ends all of it. Resolves with the exit code.
 */
export async function supervise(config: Config, log: Logger, program: string): Promise<number> {
  prepareHome(config.home);
  const lock = takeLock(homePaths(config.home).lock, config.home);
  const supervisor = new Supervisor(config, log, program);
  // The second Ctrl-C does not wait: the kernel ends the children with this process.
  const onSignal = () => (supervisor.ending ? process.exit(1) : supervisor.end(0));
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  process.on('SIGHUP', onSignal);
  try {
    return await supervisor.run();
  } finally {
    lock.release();
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
    process.off('SIGHUP', onSignal);
  }
}

class Supervisor {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #program: string;
  readonly #ending = new AbortController();
  readonly #kept: KeptProcess[] = [];
  #exitCode = 0;
  #postgres: EmbeddedPostgres | undefined;
  #databaseUrl = '';

  constructor(config: Config, log: Logger, program: string) {
    this.#config = config;
    this.#log = log;
    this.#program = program;
  }

  get ending(): boolean {
    return this.#ending.signal.aborted;
  }

  /** Asks it to end all and come to its own end. */
  end(exitCode: number): void {
    if (this.#ending.signal.aborted) return;
    this.#exitCode = exitCode;
    this.#ending.abort();
  }

  async run(): Promise<number> {
    try {
      await this.#startDatabase();
      if (!this.#ending.signal.aborted) await this.#migrate();
      if (!this.#ending.signal.aborted) {
        this.#startChildren();
        await aborted(this.#ending.signal);
      }
    } finally {
      this.#ending.abort();
      this.#log.info('ending');
      await Promise.all(this.#kept.map((child) => child.stop(GRACE)));
      await this.#postgres?.stop();
    }
    return this.#exitCode;
  }

  async #startDatabase(): Promise<void> {
    if (this.#config.databaseUrl !== undefined) {
      this.#databaseUrl = this.#config.databaseUrl;
      return;
    }
    await this.#startPostgres();
    void this.#keepPostgres();
  }

  async #startPostgres(): Promise<void> {
    const port = this.#config.postgresPort;
    const begun = performance.now();
    const postgres = await startPostgres(homePaths(this.#config.home).postgres, port === undefined ? {} : { port });
    this.#postgres = postgres;
    this.#databaseUrl = postgres.url(DATABASE);
    this.#log.info(
      { postmaster: postgres.pid, port: postgres.port },
      `the embedded Postgres started in ${Math.round(performance.now() - begun)} ms`,
    );
  }

  /** Starts Postgres again whenever it ends. The others keep trying to reach it meanwhile. */
  async #keepPostgres(): Promise<void> {
    let wait = BACKOFF.first;
    for (;;) {
      const before = this.#databaseUrl;
      const startedAt = performance.now();
      await this.#postgres?.exited;
      if (this.#ending.signal.aborted) return;
      if (performance.now() - startedAt > BACKOFF.most) wait = BACKOFF.first;
      this.#log.warn(`the embedded Postgres ended; it starts again in ${wait} ms`);
      await sleep(wait);
      wait = Math.min(wait * 2, BACKOFF.most);
      try {
        if (this.#ending.signal.aborted) return;
        await this.#startPostgres();
        if (this.#databaseUrl !== before) for (const child of this.#kept) child.restart();
      } catch (error) {
        this.#log.error({ err: error }, 'the embedded Postgres does not start');
      }
      if (this.#ending.signal.aborted) await this.#postgres?.stop();
    }
  }

  async #migrate(): Promise<void> {
    const code = await runOnce(
      { ...this.#child('migration'), args: [this.#program, 'db', 'migrate'] },
      this.#ending.signal,
    );
    if (code !== 0 && !this.#ending.signal.aborted) this.end(code);
  }

  #startChildren(): void {
    const waiting = new Set(['api', 'worker']);
    const ready = (name: string) => () => {
      if (waiting.delete(name) && waiting.size === 0) void this.#announce();
    };
    for (const name of ['api', 'worker']) {
      const child = new KeptProcess({
        ...this.#child(name),
        ...(name === 'worker' && { niceness: this.#config.workerNiceness }),
        onReady: ready(name),
        onHopeless: () => this.end(EXIT_USAGE),
      });
      this.#kept.push(child);
      child.start();
    }
  }

  #child(name: string) {
    return {
      name,
      args: [...FLAGS, this.#program, name],
      env: childEnvironment(),
      startMessage: (): StartMessage => ({ type: 'start', databaseUrl: this.#databaseUrl }),
      log: this.#log,
    };
  }

  /** Says where it is, once: as soon as the API finds everything in order. */
  async #announce(): Promise<void> {
    const url = localUrl(this.#config.listen);
    while (!this.#ending.signal.aborted) {
      if (await answersReady(`${url}/readyz`)) {
        process.stdout.write(`Godwit is ready at ${this.#config.publicUrl ?? url} (home ${this.#config.home})\n`);
        return;
      }
      await sleep(100);
    }
  }
}

/** The settings, without what only comes over the private channel; with the cache that spares children the compiler. */
function childEnvironment(): NodeJS.ProcessEnv {
  const { DATABASE_URL: _, ...settings } = process.env;
  // The copy threads of a worker would each get a heap of the C library of their own: two for all save 30 to 50 MB.
  const rest = { MALLOC_ARENA_MAX: '2', ...settings };
  const cache = module.getCompileCacheDir();
  return cache === undefined ? rest : { ...rest, NODE_COMPILE_CACHE: path.dirname(cache) };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function answersReady(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get(url, { timeout: 5_000, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on('error', () => resolve(false));
    request.on('timeout', () => request.destroy());
  });
}
