import type { Logger } from 'pino';

/** The durable engine's words in our log: its chatter as debug, its warnings as they are. */
export function durableLog(log: Logger) {
  const child = log.child({ component: 'durable' });
  const text = (entry: unknown): string => (typeof entry === 'string' ? entry : String(entry));
  return {
    info: (entry: unknown) => child.debug(text(entry)),
    debug: (entry: unknown) => child.trace(text(entry)),
    warn: (entry: unknown) => child.warn(text(entry)),
    error: (entry: unknown, detail?: { stack?: string }) => child.error({ stack: detail?.stack }, text(entry)),
  };
}
