import { type DestinationStream, type Logger, pino } from 'pino';
import type { LogLevel } from './config.ts';

/** Fields that are never written, whatever is logged and however deep they lie. */
const SECRET_FIELD =
  /pass(word|wd|phrase)|secret|token|private_?key|^pkey$|^key$|authorization|cookie|credential|connection_?info|database_?url/i;
/** A password inside a URL. */
const URL_PASSWORD = /([a-z][a-z0-9+.-]*:\/\/[^\s:/@"]*):[^\s@"]+@/gi;
const REDACTED = '[redacted]';

export interface LogOptions {
  level: LogLevel;
  /** Which process speaks: `server`, `api`, `worker`. */
  name: string;
  /** Lines for people instead of JSON. Default: when stderr is a terminal. */
  human?: boolean;
  /** Takes finished lines. Default: stderr. */
  write?: (line: string) => void;
  /** Takes every record as a JSON line besides, whatever the form of the first. */
  keep?: (line: string) => void;
  /** Milliseconds of a clock that only goes forward. Default: the system's. */
  now?: () => number;
}

/**
 * The log of a process: one JSON line per record (`time` in ISO 8601, `level` as a word), or human lines on a terminal.
 * Secret fields and passwords in URLs are removed.
 */
export function createLog(options: LogOptions): Logger {
  const human = options.human ?? process.stderr.isTTY === true;
  const write = options.write ?? ((line: string) => void process.stderr.write(line));
  const repeats = new Repeats(options.now ?? (() => performance.now()));
  const destination: DestinationStream = {
    // The finished line is what counts: whatever way a field came into it, it is seen here.
    write: (line) => {
      const record = repeats.pass(
        scrub(JSON.parse(line.replace(URL_PASSWORD, '$1:***@')), 0) as Record<string, unknown>,
      );
      if (record === undefined) return;
      const json = `${JSON.stringify(record)}\n`;
      write(human ? humanLine(record) : json);
      options.keep?.(json);
    },
  };
  return pino(
    {
      level: options.level,
      base: { name: options.name, pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: errorFields, error: errorFields },
    },
    destination,
  );
}

/** Milliseconds in which the same warning is written a few times only. */
const REPEAT_WINDOW = 10_000;
const REPEAT_LIMIT = 3;

/**
 * Leaves out warnings and errors that repeat what was just said: while the database is away, every part says so many times
 * a second. The next one that is written tells how many were left out.
 */
class Repeats {
  readonly #now: () => number;
  readonly #seen = new Map<string, { since: number; count: number }>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The record to write, or undefined. */
  pass(record: Record<string, unknown>): Record<string, unknown> | undefined {
    const { level, component, msg, err } = record;
    if (level !== 'warn' && level !== 'error') return record;
    const reason = typeof err === 'object' && err !== null && 'message' in err ? err.message : '';
    const key = `${component} ${msg} ${reason}`;
    const now = this.#now();
    const seen = this.#seen.get(key);
    if (seen !== undefined && now - seen.since < REPEAT_WINDOW) {
      seen.count += 1;
      return seen.count <= REPEAT_LIMIT ? record : undefined;
    }
    if (this.#seen.size > 1_000) this.#seen.clear();
    this.#seen.set(key, { since: now, count: 1 });
    const leftOut = (seen?.count ?? 0) - REPEAT_LIMIT;
    return leftOut > 0 ? { ...record, repeats_left_out: leftOut } : record;
  }
}

/** A copy without secrets; what lies deeper than 8 levels is cut off. */
function scrub(value: unknown, depth: number): unknown {
  if (value === null || typeof value !== 'object') return value;
  if (depth > 8) return '...';
  if (Array.isArray(value)) return value.map((item) => scrub(item, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      SECRET_FIELD.test(key) && inner !== null && typeof inner !== 'boolean' ? REDACTED : scrub(inner, depth + 1),
    ]),
  );
}

/** What is worth a line of an error: for ours the code and what to do, for others the stack. */
function errorFields(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const cause = error.cause === undefined ? {} : { cause: errorFields(error.cause) };
  if ('code' in error && 'remedy' in error) {
    return { code: error.code, message: error.message, remedy: error.remedy, ...cause };
  }
  return {
    type: error.name,
    message: error.message,
    stack: error.stack,
    ...('code' in error && { code: error.code }),
    ...cause,
  };
}

const COLUMN: Readonly<Record<string, string>> = {
  trace: 'trace',
  debug: 'debug',
  info: 'info ',
  warn: 'WARN ',
  error: 'ERROR',
};
const OWN = new Set(['level', 'time', 'pid', 'name', 'msg', 'err', 'error']);

function humanLine(record: Record<string, unknown>): string {
  const level = String(record.level);
  const head = `${String(record.time).slice(11, 23)} ${COLUMN[level] ?? level} ${String(record.name).padEnd(8)}`;
  const rest = Object.entries(record)
    .filter(([key]) => !OWN.has(key))
    .map(([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join('');
  const line = `${head} ${String(record.msg ?? '')}${rest}`.replaceAll('\n', '\\n');
  return `${visible(line + humanError(record.err ?? record.error))}\n`;
}

/** What others wrote (names, answers of platforms) neither moves the cursor of the terminal nor makes lines of its own. */
function visible(text: string): string {
  return text.replace(/[^\P{Cc}\n\t]/gu, (sign) => `\\x${sign.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

function humanError(error: unknown): string {
  if (typeof error !== 'object' || error === null) return '';
  const { code, message, remedy, stack } = error as Record<string, unknown>;
  if (remedy !== undefined)
    return `\n    ${`${String(code)}: ${String(message)} ${String(remedy)}`.replaceAll('\n', '\\n')}`;
  return `\n    ${String(stack ?? message)}`;
}
