import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { connect as connectSocket, type Socket } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { type Connection, connect } from '../database.ts';
import { migrate } from '../migrate.ts';

export interface TestDatabase extends Connection, AsyncDisposable {
  readonly name: string;
  /** Closes the pool and drops the database, whoever is still connected. */
  drop(): Promise<void>;
}

export interface TestDatabaseOptions {
  /** Connections at most. Default 10. */
  max?: number;
  /** More to do once for all databases of this kind, after the migrations (the durable engine's own schema). */
  prepare?: {
    /** Names the kind: [a-z0-9_]. */
    name: string;
    run: (url: string) => Promise<void>;
  };
  /** False: an empty database. Default true. */
  migrated?: boolean;
}

/** What the keeper says to each that connects. */
export type Greeting = { url: string } | { error: string };

/** Socket of this checkout's keeper: in the abstract namespace, where a dead process leaves no name behind. */
export function clusterSocket(): string {
  const checkout = createHash('sha256')
    .update(import.meta.dirname)
    .digest('hex')
    .slice(0, 12);
  return `\0godwit-test-postgres-${process.getuid?.() ?? 0}-${checkout}`;
}

/** Held as long as this process lives: its end tells the keeper that one user less is there. */
let cluster: Promise<{ url: string; socket: Socket }> | undefined;

/**
 * A real database of its own, with all migrations, in about 0.1 s. The first call of a run starts a Postgres
 * (about 1.5 s) that all test processes share and that goes when the last of them has gone.
 */
export async function createTestDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  cluster ??= joinCluster();
  const { url: base } = await cluster;
  const name = `test_${process.pid}_${randomBytes(4).toString('hex')}`;
  const admin = new pg.Client({ connectionString: `${base}postgres` });
  await admin.connect();
  try {
    const template = options.migrated === false ? 'template0' : await ensureTemplate(admin, base, options);
    await admin.query(`create database ${name} template ${template}`);
  } finally {
    await admin.end();
  }
  const connection = connect(`${base}${name}`, { max: options.max ?? 10, applicationName: 'test' });
  const drop = async () => {
    await connection.close();
    const client = new pg.Client({ connectionString: `${base}postgres` });
    await client.connect();
    await client.query(`drop database if exists ${name} with (force)`);
    await client.end();
  };
  return { ...connection, name, drop, [Symbol.asyncDispose]: drop };
}

async function ensureTemplate(admin: pg.Client, base: string, options: TestDatabaseOptions): Promise<string> {
  const name = `template_${options.prepare?.name ?? 'store'}_${schemaHash()}`;
  const exists = async () =>
    (await admin.query('select 1 from pg_database where datname = $1', [name])).rows.length > 0;
  if (await exists()) return name;
  await admin.query('select pg_advisory_lock(7000002)');
  try {
    if (await exists()) return name;
    const draft = `draft_${process.pid}_${randomBytes(4).toString('hex')}`;
    await admin.query(`create database ${draft}`);
    const connection = connect(`${base}${draft}`);
    try {
      await migrate(connection, async () => options.prepare?.run(connection.url));
    } finally {
      await connection.close();
    }
    await admin.query(`alter database ${draft} rename to ${name}`);
    return name;
  } finally {
    await admin.query('select pg_advisory_unlock(7000002)');
  }
}

/** Changes with the migrations, so that an edited one is not tested against a template made before. */
function schemaHash(): string {
  const hash = createHash('sha256');
  const folder = path.join(import.meta.dirname, '../migrations');
  for (const file of readdirSync(folder).sort()) hash.update(readFileSync(path.join(folder, file)));
  return hash.digest('hex').slice(0, 12);
}

async function joinCluster(): Promise<{ url: string; socket: Socket }> {
  for (let tries = 0; tries < 600; tries++) {
    const joined = await tryJoin();
    if (joined !== undefined) return joined;
    if (tries % 20 === 0) startKeeper();
    await sleep(50);
  }
  throw new Error('the test Postgres does not start');
}

function startKeeper(): void {
  const program = path.join(import.meta.dirname, 'test-cluster.ts');
  spawn(process.execPath, [program], { detached: true, stdio: 'ignore', env: { PATH: process.env.PATH } }).unref();
}

/** Undefined when no keeper answers: there is none, or it is just going. */
function tryJoin(): Promise<{ url: string; socket: Socket } | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connectSocket(clusterSocket());
    let text = '';
    socket.on('error', () => resolve(undefined));
    socket.on('close', () => resolve(undefined));
    socket.on('data', (chunk) => {
      text += chunk.toString();
      if (!text.includes('\n')) return;
      const greeting = JSON.parse(text) as Greeting;
      socket.unref();
      if ('error' in greeting) reject(new Error(greeting.error));
      else resolve({ url: greeting.url, socket });
    });
  });
}
