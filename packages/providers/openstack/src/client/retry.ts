/** How often and how long a request is repeated. */
export interface RetryTable {
  /** Tries in all. */
  tries: number;
  /** Milliseconds before the second try; doubles from there. */
  firstMs: number;
  /** Milliseconds between two tries at most, whatever the service asks for. */
  maxMs: number;
}

export const RETRIES: RetryTable = { tries: 5, firstMs: 500, maxMs: 30_000 };

/** Answers that say "not now": the request was not carried out, or may be carried out again. */
const PASSING = new Set([429, 500, 502, 503, 504]);

/** What a try ended with: a status, or no answer at all. */
export interface TryEnd {
  status: number | null;
  /** Value of `Retry-After`, if any. */
  retryAfter: string | null;
}

/**
 * Milliseconds to wait before the next try, or null when there shall be none.
 *
 * @param attempt tries made, 1 or more
 * @param repeatable false for requests that may have been carried out although no answer came: they are only repeated
 *   when the service says that it refused them (429, 503)
 * @param random 0 to 1, spreads the clients
 * @param now milliseconds since 1970, for dates in `Retry-After`
 */
export function waitBefore(
  attempt: number,
  end: TryEnd,
  repeatable: boolean,
  random: number,
  now: number,
  table: RetryTable = RETRIES,
): number | null {
  if (attempt >= table.tries) return null;
  if (end.status !== null && !PASSING.has(end.status)) return null;
  if (!repeatable && end.status !== 429 && end.status !== 503) return null;
  const asked = retryAfterMs(end.retryAfter, now);
  if (asked !== null) return Math.min(asked, table.maxMs);
  const step = Math.min(table.firstMs * 2 ** (attempt - 1), table.maxMs);
  return Math.round(step * (0.5 + random / 2));
}

/** `Retry-After` as seconds or as a date (RFC 9110 10.2.3); null when it says nothing. */
function retryAfterMs(value: string | null, now: number): number | null {
  if (value === null) return null;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}
