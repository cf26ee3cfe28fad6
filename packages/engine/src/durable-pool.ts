import { PreparedStatements } from '@godwit/store';
import pg from 'pg';
import type { Logger } from 'pino';

/** Milliseconds after which what a frozen process has locked is free again. */
const IDLE_MS = 60_000;
/** The durable engine writes how many it would take into the text: each number would be a plan of its own. */
const ITS_OWN_TEXT_EACH_TIME = /\bLIMIT \d{2,}/;

/**
 * Connections for the durable engine. It plans each of its statements anew, in every session; from a pool of ours it sends
 * those that come again by name. The pool is to be ended by whoever made it, after the engine.
 */
export function openDurablePool(databaseUrl: string, max: number, log: Logger): pg.Pool {
  const onLost = (error: Error): void => log.debug({ err: error }, 'a connection of the durable engine was lost');
  const pool = new pg.Pool({
    connectionString: boundedUrl(databaseUrl, IDLE_MS),
    max,
    application_name: 'godwit-durable',
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
  });
  // Without listeners the death of a connection would end the process.
  pool.on('error', onLost);
  pool.on('connect', (client) => client.on('error', onLost));
  new PreparedStatements((text) => !ITS_OWN_TEXT_EACH_TIME.test(text)).serve(pool);
  return pool;
}

/**
 * The same database, whose server ends transactions of these sessions that stand still for `idleMs`: a frozen process must
 * not hold a lock for ever.
 */
export function boundedUrl(databaseUrl: string, idleMs: number): string {
  const url = new URL(databaseUrl);
  const given = url.searchParams.get('options');
  const bound = `-c idle_in_transaction_session_timeout=${idleMs}`;
  url.searchParams.set('options', given === null ? bound : `${given} ${bound}`);
  return url.href;
}
