import { GodwitError } from '@godwit/domain';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { isStalePlan, PreparedStatements } from './prepared.ts';
import type { Database } from './tables.ts';

/** What every repository function takes first: the database, or a transaction of it. */
export type Db = Kysely<Database>;

export interface ConnectOptions {
  /** Connections at most. Default 10. */
  max?: number;
  /** Shown in pg_stat_activity. Default `godwit`. */
  applicationName?: string;
  /**
   * Statements given to a transaction without waiting for each other go out at once, and are answered in order: of several,
   * all but the first wait cost next to nothing. Default false.
   */
  pipeline?: boolean;
  /** Told of connections that died while no query ran; the pool replaces them by itself. */
  onLost?: (error: Error) => void;
}

/** A pool and the typed query builder upon it. */
export interface Connection {
  readonly db: Db;
  readonly pool: pg.Pool;
  /** Connection URL; holds a password, so it must not be logged. */
  readonly url: string;
  /** Waits for running queries, then closes every connection. Idempotent. */
  close(): Promise<void>;
}

const INT8 = pg.types.builtins.INT8;

const TIMESTAMPTZ = pg.types.builtins.TIMESTAMPTZ;
const parseAnyMoment = pg.types.getTypeParser(TIMESTAMPTZ);

/** Number in two digits of a text. */
const pair = (text: string, at: number): number => text.charCodeAt(at) * 10 + text.charCodeAt(at + 1) - 528;

/**
 * A moment as Postgres writes it, `2026-01-02 03:04:05.678+00`. Rows have three of them and more, and sessions of ours mostly
 * speak UTC: read digit by digit, which takes a tenth of the driver's patterns.
 */
function parseMoment(text: string): Date {
  const end = text.length - 3;
  if (text[10] !== ' ' || !text.endsWith('+00')) return parseAnyMoment(text) as Date;
  const year = pair(text, 0) * 100 + pair(text, 2);
  if (year < 100) return parseAnyMoment(text) as Date;
  let ms = 0;
  for (let at = 20, unit = 100; at < end && at < 23; at++, unit /= 10) ms += (text.charCodeAt(at) - 48) * unit;
  return new Date(Date.UTC(year, pair(text, 5) - 1, pair(text, 8), pair(text, 11), pair(text, 14), pair(text, 17), ms));
}

/**
 * Sizes and counters fit a double (2^53 bytes are 8 PiB): bigint columns are read as numbers. Asked for each column of each
 * answer, so it is a table.
 */
const parsers = new Map<number, (text: string) => unknown>([
  [INT8, Number],
  [TIMESTAMPTZ, parseMoment],
]);

const typeParsers: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') =>
    (format === 'binary' ? undefined : parsers.get(oid)) ?? pg.types.getTypeParser(oid, format),
};

/**
 * Opens a pool. Lazy: nothing is connected until the first query.
 *
 * @param url `postgres://user:password@host:port/database`
 */
export function connect(url: string, options: ConnectOptions = {}): Connection {
  const pool = new pg.Pool({
    connectionString: url,
    max: options.max ?? 10,
    application_name: options.applicationName ?? 'godwit',
    connectionTimeoutMillis: 10_000,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    pipeline: options.pipeline ?? false,
    types: typeParsers,
  });
  // Without listeners the death of a connection (a restart of Postgres) would end the process: of an idle one, and of one
  // that is borrowed but between two queries, which the pool does not watch.
  pool.on('error', (error) => options.onLost?.(error));
  pool.on('connect', (client) => client.on('error', (error) => options.onLost?.(error)));
  new PreparedStatements().serve(pool);
  const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });
  let closing: Promise<void> | undefined;
  return {
    db,
    pool,
    url,
    close: () => {
      closing ??= db.destroy();
      return closing;
    },
  };
}

/**
 * Creates the database that the URL names when the server has none of that name.
 *
 * @throws GodwitError DATABASE_UNAVAILABLE
 */
export async function ensureDatabase(url: string): Promise<void> {
  const server = new URL(url);
  const name = decodeURIComponent(server.pathname.slice(1));
  server.pathname = '/postgres';
  const client = new pg.Client({ connectionString: server.href, connectionTimeoutMillis: 10_000 });
  try {
    await client.connect();
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [name]);
    if (rowCount === 0) await client.query(`create database ${pg.escapeIdentifier(name)}`);
  } catch (error) {
    throw GodwitError.wrap(error, 'DATABASE_UNAVAILABLE', 'the database');
  } finally {
    await client.end();
  }
}

/**
 * SQLSTATE classes and codes that say "no connection", "server is going or coming" or, 53, "out of connections, disk or
 * memory": what was asked has not happened, and happens when there is room again.
 */
const UNAVAILABLE = /^(08|53|57P0)/;
const SOCKET_CODES = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN']);

/** True when the database could not be reached or went away: the same call may succeed a moment later. */
export function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (isStalePlan(error)) return true;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (UNAVAILABLE.test(code) || SOCKET_CODES.has(code)) return true;
  // Of a socket, not of a file.
  if (code === 'ENOENT') return 'syscall' in error && error.syscall === 'connect';
  return /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error/.test(
    error.message,
  );
}

/** True when the server is there but out of connections, disk or memory: it is waited for, and somebody has to make room. */
export function isExhausted(error: unknown): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && error.code.startsWith('53');
}

/** SQLSTATE of a violated unique index. */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  if (!(error instanceof Error) || !('code' in error) || error.code !== '23505') return false;
  return constraint === undefined || ('constraint' in error && error.constraint === constraint);
}

/** The error for an operator: `DATABASE_UNAVAILABLE` when it was that, else the error itself. */
export function databaseError(error: unknown): unknown {
  return isUnavailable(error) ? GodwitError.wrap(error, 'DATABASE_UNAVAILABLE', 'the database') : error;
}
