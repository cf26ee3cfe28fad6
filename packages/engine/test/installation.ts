import { type ChildProcess, fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionStatus, MinionPoolStatus } from '@godwit/domain';
import {
  type Connection,
  connect,
  getExecution,
  getMinionPool,
  insertEndpoint,
  insertMinionPool,
  insertTransfer,
  listTasks,
  type MinionMachine,
  machinesOfPools,
  migrate,
  type NewMinionPool,
  SecretBox,
  type Task,
  type Transfer,
  toJson,
} from '@godwit/store';
import { createTestDatabase } from '@godwit/store/testing';
import { sql } from 'kysely';
import { connectEngine } from '../src/connect-engine.ts';
import type { EngineClient } from '../src/engine-client.ts';
import { migrateEngine } from '../src/schema.ts';
import type { Stop, WorkerProcessOptions } from './worker-process.ts';

/** Between looks of a test that waits: several wait at once, and each look takes a millisecond of a core. */
const LOOK_MS = 50;

/** A worker process, and what it has said. */
export class TestWorker {
  readonly process: ChildProcess;
  readonly reached: string[] = [];
  readonly ready: Promise<void>;
  readonly exited: Promise<number | null>;
  log = '';

  constructor(options: WorkerProcessOptions) {
    this.process = fork(path.join(import.meta.dirname, 'worker-process.ts'), [JSON.stringify(options)], {
      execPath: process.execPath,
      execArgv: ['--disable-warning=DeprecationWarning'],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.process.stderr?.on('data', (chunk: Buffer) => {
      this.log = (this.log + chunk.toString()).slice(-20_000);
    });
    this.exited = new Promise((resolve) => this.process.on('exit', (code) => resolve(code)));
    this.ready = new Promise((resolve, reject) => {
      this.process.on('message', (message: { ready?: string; reached?: string }) => {
        if (message.ready !== undefined) resolve();
        if (message.reached !== undefined) this.reached.push(message.reached);
      });
      void this.exited.then((code) => reject(new Error(`the worker ended with ${code}\n${this.log}`)));
    });
    this.ready.catch(() => undefined);
  }

  /** Adds a stop to a running worker. */
  async stopAt(stop: Stop): Promise<void> {
    await this.ready;
    this.reached.length = 0;
    const armed = new Promise<void>((resolve) => {
      const hear = (message: { armed?: string }) => {
        if (message.armed !== stop.point) return;
        this.process.off('message', hear);
        resolve();
      };
      this.process.on('message', hear);
    });
    this.process.send(stop);
    await armed;
  }

  /** Lets what waits at a point with `pause` go on. */
  goOn(point: string): void {
    this.process.send({ goOn: point });
  }

  async kill(): Promise<void> {
    this.process.kill('SIGKILL');
    await this.exited;
  }
}

/** Writes a file with holes where the bytes are zero, as disks have them. */
function writeSparse(file: string, bytes: Buffer): void {
  const piece = 65_536;
  const handle = openSync(file, 'w');
  for (let at = 0; at < bytes.length; at += piece) {
    const part = bytes.subarray(at, at + piece);
    if (part.some((byte) => byte !== 0)) writeSync(handle, part, 0, part.length, at);
  }
  ftruncateSync(handle, bytes.length);
  closeSync(handle);
}

/** A database, an engine client and workers, all real, all gone at the end. */
export class TestInstallation implements AsyncDisposable {
  readonly home: string;
  readonly database: Connection;
  readonly #drop: () => Promise<void>;
  readonly engine: EngineClient;
  readonly secrets: SecretBox;
  readonly workers: TestWorker[] = [];
  readonly projectId = randomUUID();

  private constructor(home: string, database: Connection, drop: () => Promise<void>, engine: EngineClient) {
    this.home = home;
    this.database = database;
    this.#drop = drop;
    this.engine = engine;
    this.secrets = SecretBox.load(path.join(home, 'keys/secrets.json'), true);
  }

  /** On the Postgres that all tests share. */
  static async start(): Promise<TestInstallation> {
    const home = mkdtempSync(path.join(tmpdir(), 'gwe-'));
    const database = await createTestDatabase({
      prepare: {
        name: 'engine',
        run: async (url) => {
          const connection = connect(url);
          await migrateEngine(connection);
          await connection.close();
        },
      },
    });
    const engine = await connectEngine({ databaseUrl: database.url });
    return new TestInstallation(home, database, () => database.drop(), engine);
  }

  /** On a database that the caller has made and removes. */
  static async on(home: string, url: string): Promise<TestInstallation> {
    const database = connect(url);
    await migrate(database, () => migrateEngine(database));
    return new TestInstallation(home, database, () => database.close(), await connectEngine({ databaseUrl: url }));
  }

  get db() {
    return this.database.db;
  }

  worker(options: { host?: string; stops?: Stop[] } & Partial<WorkerProcessOptions> = {}): TestWorker {
    const worker = new TestWorker({
      databaseUrl: this.database.url,
      home: this.home,
      host: options.host ?? 'a',
      stops: options.stops ?? [],
      retry: { firstMs: 50, maxMs: 200, limitMs: 20_000 },
      ...options,
    });
    this.workers.push(worker);
    return worker;
  }

  folder(name: string): string {
    const folder = path.join(this.home, name);
    mkdirSync(folder, { recursive: true });
    return folder;
  }

  /** Writes the disks of an instance: name -> bytes. */
  instance(endpoint: string, name: string, disks: Record<string, Buffer>): void {
    const folder = this.folder(`${endpoint}/${name}`);
    for (const [disk, bytes] of Object.entries(disks)) writeSparse(path.join(folder, `${disk}.raw`), bytes);
  }

  async endpoint(name: string, regions: string[] = []): Promise<string> {
    const info = { path: this.folder(name) };
    const row = await insertEndpoint(this.db, this.secrets, {
      projectId: this.projectId,
      userId: 'tester',
      name,
      type: 'folder',
      connectionInfo: info,
      publicInfo: info,
      mappedRegions: regions,
    });
    return row.id;
  }

  async transfer(origin: string, destination: string, instances: string[], more: object = {}): Promise<Transfer> {
    return insertTransfer(this.db, {
      project_id: this.projectId,
      user_id: 'tester',
      scenario: 'replica',
      instances: toJson(instances),
      origin_endpoint_id: origin,
      destination_endpoint_id: destination,
      ...more,
    });
  }

  /** A pool of machines, with its first ones under way when `allocate`. */
  async pool(
    endpoint: string,
    platform: 'source' | 'destination',
    more: Partial<NewMinionPool> & { allocate?: boolean } = {},
  ): Promise<string> {
    const { allocate = true, ...settings } = more;
    const row = await insertMinionPool(this.db, {
      project_id: this.projectId,
      user_id: 'tester',
      name: 'helpers',
      notes: null,
      endpoint_id: endpoint,
      platform,
      os_type: 'linux',
      environment_options: {},
      minimum_minions: 1,
      maximum_minions: 1,
      minion_max_idle_time: 3_600,
      minion_retention_strategy: 'delete',
      ...settings,
    });
    if (allocate) await this.engine.actOnPool(row.id, 'allocate');
    return row.id;
  }

  async machines(pool: string): Promise<MinionMachine[]> {
    return (await machinesOfPools(this.db, [pool])).get(pool) ?? [];
  }

  /** Waits until the pool has the status and nothing of it is under way. */
  async untilPool(id: string, wanted: MinionPoolStatus): Promise<void> {
    await this.eventually(`pool ${wanted}`, async () => {
      const pool = await getMinionPool(this.db, id);
      return pool?.status === wanted && pool.operation === null;
    });
  }

  /** Waits until the execution has one of the statuses (default: any final one). */
  async until(executionId: string, wanted?: ExecutionStatus[]): Promise<ExecutionStatus> {
    const final: ExecutionStatus[] = ['COMPLETED', 'ERROR', 'CANCELED', 'DEADLOCKED', 'ERROR_ALLOCATING_MINIONS'];
    for (const end = Date.now() + 60_000; ; ) {
      const status = (await getExecution(this.db, executionId))?.status ?? 'UNEXECUTED';
      if ((wanted ?? final).includes(status)) return status;
      if (Date.now() > end) throw new Error(`execution is still ${status}\n${await this.report(executionId)}`);
      await sleep(LOOK_MS);
    }
  }

  /** Waits for anything. */
  async eventually(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
    for (const end = Date.now() + 60_000; !(await holds()); await sleep(LOOK_MS)) {
      if (Date.now() > end) throw new Error(`never: ${what}\n${this.workers.map((worker) => worker.log).join('\n')}`);
    }
  }

  /** What 30 s of a worker's silence look like to the others. */
  async silence(host: string): Promise<void> {
    await this.db
      .updateTable('service')
      .set({ heartbeat_at: sql<Date>`clock_timestamp() - interval '31 s'` })
      .where('host', '=', host)
      .execute();
  }

  async tasks(executionId: string): Promise<Task[]> {
    return listTasks(this.db, executionId);
  }

  /** For a failed wait: the tasks and what the workers said. */
  async report(executionId: string): Promise<string> {
    const tasks = (await this.tasks(executionId)).map(
      (task) => `${task.instance} ${task.task_type} ${task.status} ${task.attempt} ${task.exception_details ?? ''}`,
    );
    return [...tasks, ...this.workers.map((worker) => worker.log)].join('\n');
  }

  async ledger(): Promise<string[]> {
    const rows = await this.db.selectFrom('ledger').selectAll().where('state', '<>', 'removed').execute();
    return rows.map((row) => `${row.keep} ${row.kind} ${row.state}`).sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.kill()));
    await this.engine.close();
    await this.#drop();
    rmSync(this.home, { recursive: true, force: true });
  }
}
