import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../free-port.ts';

const repository = path.join(import.meta.dirname, '../..');

/** The processes of one installation that a test may kill. */
export type Role = 'worker' | 'api' | 'postgres';

/** Statuses of an execution that has not ended. */
const UNDER_WAY = ['RUNNING', 'UNEXECUTED', 'PENDING', 'CANCELLING', 'AWAITING_MINION_ALLOCATIONS'];

export interface Answer {
  status: number;
  body: Record<string, unknown>;
}

/** The fields of an execution that tests read. */
export interface Execution {
  id: string;
  status: string;
  tasks: {
    id: string;
    task_type: string;
    status: string;
    exception_details: string | null;
    error?: { code: string; object: string; message: string; remedy: string } | null;
  }[];
}

/** A whole Godwit (`godwit server all`) in a home of its own, driven over HTTP as a stranger would. */
export class Installation {
  readonly home: string;
  readonly logFile: string;
  readonly #child: ChildProcess;
  /** `http://HOST:PORT`. */
  readonly url: string;
  #token = '';
  #project = '';

  private constructor(home: string, child: ChildProcess, url: string) {
    this.home = home;
    this.logFile = path.join(home, 'test.log');
    this.#child = child;
    this.url = url;
  }

  /** Starts it and waits until it answers. */
  static async start(env: Record<string, string> = {}): Promise<Installation> {
    const home = mkdtempSync(path.join(tmpdir(), 'gw-'));
    const port = await freePort();
    const child = spawn(process.execPath, [path.join(repository, 'packages/server/src/main.ts'), 'all'], {
      env: { ...process.env, GODWIT_HOME: home, GODWIT_LISTEN: `127.0.0.1:${port}`, DATABASE_URL: '', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const log = createWriteStream(path.join(home, 'test.log'));
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    const installation = new Installation(home, child, `http://127.0.0.1:${port}`);
    try {
      await installation.until(
        'ready',
        async () => (await fetch(`${installation.url}/readyz`)).status === 200,
        240_000,
      );
      await installation.#login();
    } catch (error) {
      const tail = readFileSync(installation.logFile, 'utf8').slice(-4000);
      await installation.stop();
      throw new Error(`Godwit did not start: ${String(error)}\n${tail}`);
    }
    return installation;
  }

  async #login(): Promise<void> {
    const values = new Map(
      readFileSync(path.join(this.home, 'openrc'), 'utf8')
        .split('\n')
        .map((line) => /^export (\w+)=['"]?(.*?)['"]?$/.exec(line))
        .filter((match) => match !== null)
        .map((match) => [match[1] ?? '', match[2] ?? '']),
    );
    const domain = { name: values.get('OS_USER_DOMAIN_NAME') ?? 'Default' };
    const answer = await fetch(`${this.url}/identity/v3/auth/tokens`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        auth: {
          identity: {
            methods: ['password'],
            password: { user: { name: values.get('OS_USERNAME'), password: values.get('OS_PASSWORD'), domain } },
          },
          scope: { project: { name: values.get('OS_PROJECT_NAME'), domain } },
        },
      }),
    });
    if (answer.status !== 201) throw new Error(`login answered ${answer.status}: ${await answer.text()}`);
    this.#token = answer.headers.get('x-subject-token') ?? '';
    const body = (await answer.json()) as { token: { project: { id: string } } };
    this.#project = body.token.project.id;
  }

  /** What a client of its own needs: root of the project and token. */
  get access(): { root: string; token: string } {
    return { root: `${this.url}/v1/${this.#project}`, token: this.#token };
  }

  get projectId(): string {
    return this.#project;
  }

  /** One request; a lost connection or a 503 (somebody was just killed) is tried again for 60 s. */
  async request(method: string, route: string, body?: unknown): Promise<Answer> {
    let last: unknown;
    for (const end = Date.now() + 60_000; Date.now() < end; await sleep(100)) {
      try {
        const answer = await fetch(`${this.url}/v1/${this.#project}${route}`, {
          method,
          headers: {
            'x-auth-token': this.#token,
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        const text = await answer.text();
        if (answer.status === 503 || answer.status === 502) {
          last = text;
          continue;
        }
        return { status: answer.status, body: text ? (JSON.parse(text) as Record<string, unknown>) : {} };
      } catch (error) {
        last = error;
      }
    }
    throw new Error(`${method} ${route}: no answer for 60 s: ${String(last)}`);
  }

  /** A request that must answer 200 or 204; gives the one object under `key`. */
  async get<T>(method: string, route: string, key: string, body?: unknown): Promise<T> {
    const answer = await this.request(method, route, body);
    if (answer.status !== 200 && answer.status !== 204) {
      throw new Error(`${method} ${route} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
    }
    return answer.body[key] as T;
  }

  /** Whatever a GET answers, as text; `place` below the project, or from the root when it is not found there. */
  async read(place: string): Promise<{ status: number; text: string }> {
    const headers = { 'x-auth-token': this.#token };
    const inProject = await fetch(`${this.url}/v1/${this.#project}${place}`, { headers });
    const text = await inProject.text();
    if (inProject.status !== 404) return { status: inProject.status, text };
    const atRoot = await fetch(`${this.url}${place}`, { headers });
    return { status: atRoot.status, text: text + (await atRoot.text()) };
  }

  /** Where its embedded Postgres answers; with the password, for this test alone. */
  databaseUrl(): string {
    const of = (name: string) => readFileSync(path.join(this.home, 'postgres', name), 'utf8').trim();
    return `postgres://postgres:${of('password')}@127.0.0.1:${of('port')}/godwit`;
  }

  /** Creates an endpoint; gives its id. */
  async endpoint(name: string, type: string, connection: Record<string, unknown>): Promise<string> {
    const body = { endpoint: { name, type, description: '', connection_info: connection } };
    return (await this.get<{ id: string }>('POST', '/endpoints', 'endpoint', body)).id;
  }

  /** Creates a replica transfer; gives its id. */
  async transfer(origin: string, destination: string, instances: string[], more: object = {}): Promise<string> {
    const transfer = {
      scenario: 'replica',
      origin_endpoint_id: origin,
      destination_endpoint_id: destination,
      instances,
      source_environment: {},
      destination_environment: {},
      network_map: {},
      ...more,
    };
    return (await this.get<{ id: string }>('POST', '/transfers', 'transfer', { transfer })).id;
  }

  /** Starts an execution; gives its route. */
  async execute(transfer: string, shutdownInstances = false): Promise<string> {
    const body = { execution: { shutdown_instances: shutdownInstances, auto_deploy: false } };
    const { id } = await this.get<{ id: string }>('POST', `/transfers/${transfer}/executions`, 'execution', body);
    return `/transfers/${transfer}/executions/${id}`;
  }

  /** Waits for the end of the execution at `route`; `meanwhile` is called at every look. */
  async ended(route: string, meanwhile: () => void = () => undefined): Promise<Execution> {
    for (const end = Date.now() + 900_000; Date.now() < end; await sleep(100)) {
      meanwhile();
      const now = await this.get<Execution>('GET', route, 'execution');
      if (!UNDER_WAY.includes(now.status)) return now;
    }
    throw new Error(`${route} did not end within 15 minutes`);
  }

  /** Waits until a deployment is done; rejects when it failed. */
  async deployed(id: string): Promise<void> {
    let status = '';
    await this.until(
      'deployed',
      async () => {
        const route = `/deployments/${id}`;
        status = (await this.get<{ last_execution_status: string }>('GET', route, 'deployment')).last_execution_status;
        return ['COMPLETED', 'ERROR', 'CANCELED'].includes(status);
      },
      300_000,
    );
    if (status === 'COMPLETED') return;
    const answer = await this.request('GET', `/deployments/${id}`);
    throw new Error(`deployment ${id} ended ${status}: ${JSON.stringify(answer.body)}`);
  }

  /** Polls until `ask` is true; errors count as not yet. */
  async until(what: string, ask: () => Promise<boolean>, timeoutMs: number): Promise<void> {
    let last: unknown;
    for (const end = Date.now() + timeoutMs; Date.now() < end; await sleep(50)) {
      if (this.#child.exitCode !== null) throw new Error(`the server ended with ${this.#child.exitCode}`);
      try {
        if (await ask()) return;
        last = undefined;
      } catch (error) {
        last = error;
      }
    }
    throw new Error(`not ${what} within ${timeoutMs / 1000} s${last === undefined ? '' : `: ${String(last)}`}`);
  }

  /** Process ids below the supervisor, by role. */
  pids(role: Role): number[] {
    const parents = new Map<number, number>();
    const commands = new Map<number, string>();
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
        commands.set(Number(name), readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' '));
      } catch {
        // ended between the two reads
      }
    }
    const below = (pid: number): boolean => {
      for (let at = parents.get(pid); at !== undefined && at > 1; at = parents.get(at)) {
        if (at === this.#child.pid) return true;
      }
      return false;
    };
    const marks: Record<Role, RegExp> = {
      worker: /server\/src\/main\.ts worker/,
      api: /server\/src\/main\.ts api/,
      postgres: /bin\/postgres .*-D /,
    };
    return [...commands].filter(([pid, command]) => marks[role].test(command) && below(pid)).map(([pid]) => pid);
  }

  /** SIGKILL; false when there was nothing to kill just then. */
  kill(role: Role): boolean {
    const pids = this.pids(role);
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // it was faster
      }
    }
    return pids.length > 0;
  }

  get log(): string {
    return readFileSync(this.logFile, 'utf8');
  }

  /** Ends it as Ctrl-C does and removes its home. */
  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = new Promise((resolve) => this.#child.once('exit', resolve));
      this.#child.kill('SIGINT');
      await Promise.race([ended, sleep(20_000, undefined, { ref: false })]);
      this.#child.kill('SIGKILL');
    }
    rmSync(this.home, { recursive: true, force: true });
  }
}
