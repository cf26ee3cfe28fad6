import type { EngineClient } from '@godwit/engine';
import { type Db, listServices } from '@godwit/store';
import type { Logger } from 'pino';

/** Milliseconds between looks: a worker that is restarted is back before the second one. */
const LOOK_MS = 15_000;

export interface WaitingWatchOptions {
  db: Db;
  engine: Pick<EngineClient, 'explainWaiting'>;
  log: Logger;
  /** Milliseconds between looks. Default 15,000. */
  lookMs?: number;
}

/** Where no worker is UP in two looks, nobody else could say of queued work why it waits. Returns what ends it. */
export function watchWaiting({ db, engine, log, lookMs = LOOK_MS }: WaitingWatchOptions): () => void {
  let lonely = 0;
  const look = async (): Promise<void> => {
    const up = (await listServices(db)).some((service) => service.status === 'UP');
    lonely = up ? 0 : lonely + 1;
    if (lonely >= 2) await engine.explainWaiting();
  };
  const timer = setInterval(() => {
    look().catch((error: unknown) => log.debug({ err: error }, 'cannot look after queued work now'));
  }, lookMs);
  return () => clearInterval(timer);
}
