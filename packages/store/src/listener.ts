import pg from 'pg';

export interface ListenerOptions {
  /** Called for every notification. */
  onNotify: (channel: string, payload: string) => void;
  /**
   * Called each time it listens (again). Whatever was announced while it did not listen is lost: read the tables here.
   */
  onListening?: () => void;
  /** Told of each lost or refused connection; it tries again by itself. */
  onError?: (error: Error) => void;
}

export interface Listener {
  /** Resolves when it listens for the first time. */
  readonly listening: Promise<void>;
  close(): Promise<void>;
}

const BACKOFF = { first: 100, most: 5_000 };
/** Milliseconds between questions whether the connection still lives: a silent peer is else never noticed. */
const PING = 10_000;

/** One connection that LISTENs on channels and comes back by itself, 0.1 s to 5 s after it was lost. */
export function listen(url: string, channels: readonly string[], options: ListenerOptions): Listener {
  const first = Promise.withResolvers<void>();
  let client: pg.Client | undefined;
  let closed = false;
  let wait = BACKOFF.first;
  let retry: NodeJS.Timeout | undefined;
  let ping: NodeJS.Timeout | undefined;

  const lost = (from: pg.Client, error: Error) => {
    if (closed || from !== client) return;
    client = undefined;
    clearInterval(ping);
    options.onError?.(error);
    void from.end().catch((cause: unknown) => options.onError?.(asError(cause)));
    retry = setTimeout(begin, wait);
    wait = Math.min(wait * 2, BACKOFF.most);
  };

  const begin = () => {
    const fresh = new pg.Client({
      connectionString: url,
      application_name: 'godwit listener',
      keepAlive: true,
      connectionTimeoutMillis: 10_000,
      query_timeout: 10_000,
    });
    client = fresh;
    fresh.on('error', (error) => lost(fresh, error));
    fresh.on('end', () => lost(fresh, new Error('Connection terminated')));
    fresh.on('notification', (message) => options.onNotify(message.channel, message.payload ?? ''));
    const start = async () => {
      await fresh.connect();
      for (const channel of channels) await fresh.query(`listen ${pg.escapeIdentifier(channel)}`);
      if (closed) return;
      wait = BACKOFF.first;
      ping = setInterval(() => fresh.query('select 1').catch((error: unknown) => lost(fresh, asError(error))), PING);
      first.resolve();
      options.onListening?.();
    };
    start().catch((error: unknown) => lost(fresh, asError(error)));
  };

  begin();
  return {
    listening: first.promise,
    close: async () => {
      closed = true;
      clearTimeout(retry);
      clearInterval(ping);
      first.resolve();
      await client?.end();
    },
  };
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));
