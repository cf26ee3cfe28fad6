import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Logger } from 'pino';

export interface ListenerOptions {
  databaseUrl: string;
  log: Logger;
  /** Shown in pg_stat_activity. */
  name: string;
  /** Channel -> what to do with a payload. */
  channels: Record<string, (payload: string) => void>;
  /**
   * After each connect, the first too, before listening counts: notices may have been missed, so look for yourself. The
   * session is the listener's own; what it locks it holds until it breaks. Rejecting counts as a failed connect.
   */
  onConnect?: (session: pg.Client) => Promise<void>;
}

interface Connected {
  /** Resolves when the connection is lost. */
  lost: Promise<void>;
}

/** One connection that hears notices, and comes back by itself whatever happens to Postgres. */
export class Listener {
  readonly #options: ListenerOptions;
  readonly #stop = new AbortController();
  #session: pg.Client | undefined;
  #done: Promise<void> | undefined;

  private constructor(options: ListenerOptions) {
    this.#options = options;
  }

  /** Resolves when it hears; rejects when the first connect fails. */
  static async start(options: ListenerOptions): Promise<Listener> {
    const listener = new Listener(options);
    const first = await listener.#connect();
    listener.#done = listener.#stay(first);
    return listener;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#session?.end().catch(() => undefined);
    await this.#done;
  }

  async #stay(first: Connected): Promise<void> {
    let connected = first;
    while (!this.#stop.signal.aborted) {
      await connected.lost;
      for (let wait = 50; !this.#stop.signal.aborted; wait = Math.min(wait * 2, 1_000)) {
        try {
          connected = await this.#connect();
          break;
        } catch (error) {
          this.#options.log.debug({ err: error }, 'cannot listen to the database yet');
          await sleep(wait, undefined, { signal: this.#stop.signal }).catch(() => undefined);
        }
      }
    }
  }

  async #connect(): Promise<Connected> {
    const { channels, databaseUrl, name, onConnect } = this.#options;
    const session = new pg.Client({
      connectionString: databaseUrl,
      application_name: name,
      keepAlive: true,
      connectionTimeoutMillis: 5_000,
    });
    const lost = new Promise<void>((resolve) => {
      session.on('error', () => resolve());
      session.on('end', () => resolve());
    });
    session.on('notification', ({ channel, payload }) => channels[channel]?.(payload ?? ''));
    try {
      await session.connect();
      for (const channel of Object.keys(channels)) await session.query(`listen ${channel}`);
      await onConnect?.(session);
    } catch (error) {
      await session.end().catch(() => undefined);
      throw error;
    }
    this.#session = session;
    if (this.#stop.signal.aborted) await session.end().catch(() => undefined);
    return { lost };
  }
}
