import type { Logger } from 'pino';

/** Milliseconds for which the same words are not repeated as a warning: while Postgres is away each look at a queue fails. */
const QUIET_MS = 10_000;

/** The durable engine's words in our log: its chatter as debug, its warnings as they are, but not ten times a second. */
export function durableLog(log: Logger) {
  const child = log.child({ component: 'durable' });
  const text = (entry: unknown): string => (typeof entry === 'string' ? entry : String(entry));
  const said = new Map<string, number>();
  const isNews = (words: string): boolean => {
    const now = performance.now();
    for (const [old, at] of said) if (now - at > QUIET_MS) said.delete(old);
    if (said.has(words)) return false;
    said.set(words, now);
    return true;
  };
  return {
    info: (entry: unknown) => child.debug(text(entry)),
    debug: (entry: unknown) => child.trace(text(entry)),
    warn: (entry: unknown) => child[isNews(text(entry)) ? 'warn' : 'debug'](text(entry)),
    error: (entry: unknown, detail?: { stack?: string }) =>
      child[isNews(text(entry)) ? 'error' : 'debug']({ stack: detail?.stack }, text(entry)),
  };
}
