import { createReadStream, type Stats } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';

/** Logs as the processes of this home keep them: JSON lines in `NAME.log`, older ones in `NAME.log.1` and so on. */

/** A line of a log, as far as readers need it. */
interface LogLine {
  name: string;
  /** ISO 8601. */
  time: string;
  level: string;
  text: string;
}

/** Names of the logs, sorted. */
export async function logNames(folder: string): Promise<string[]> {
  const files = await filesOf(folder);
  return files
    .filter((file) => file.endsWith('.log'))
    .map((file) => file.slice(0, -'.log'.length))
    .sort();
}

async function filesOf(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

const isMissing = (error: unknown) => error instanceof Error && 'code' in error && error.code === 'ENOENT';

/** Milliseconds since 1970; an end that is absent is open. */
export interface Period {
  from?: number;
  to?: number;
}

/** The lines of a log that lie within the period, oldest first, each with its line end. */
export async function* readLog(folder: string, name: string, { from, to }: Period): AsyncGenerator<string> {
  for (const file of await generations(folder, name)) {
    const stream = createReadStream(path.join(folder, file), 'utf8');
    // A file that was rotated away meanwhile is read under its next name by nobody: skip it.
    const opened = await new Promise<boolean>((resolve) => {
      stream.once('open', () => resolve(true)).once('error', () => resolve(false));
    });
    if (!opened) continue;
    for await (const line of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) {
      const at = from === undefined && to === undefined ? 0 : Date.parse(parsed(line)?.time ?? '');
      if ((from !== undefined && !(at >= from)) || (to !== undefined && !(at <= to))) continue;
      yield `${line}\n`;
    }
  }
}

/** Files of a log, oldest first. */
async function generations(folder: string, name: string): Promise<string[]> {
  const head = `${name}.log`;
  const numbered = (await filesOf(folder)).flatMap((file) => {
    const rest = file.startsWith(head) ? file.slice(head.length) : undefined;
    if (rest === '') return [{ file, age: 0 }];
    return rest !== undefined && /^\.\d{1,3}$/.test(rest) ? [{ file, age: Number(rest.slice(1)) }] : [];
  });
  return numbered.sort((a, b) => b.age - a.age).map(({ file }) => file);
}

function parsed(line: string): LogLine | undefined {
  try {
    const { name, time, level, msg } = JSON.parse(line) as Record<string, unknown>;
    return { name: String(name), time: String(time), level: String(level), text: String(msg ?? '') };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Syslog severities of our levels: a smaller number is worse. */
const SEVERITY: Readonly<Record<string, number>> = { error: 3, warn: 4, info: 6, debug: 7, trace: 7 };

export interface LogMessage {
  app_name: string;
  severity: number;
  timestamp: string;
  message: string;
}

/** A line as followers get it; undefined when it is less grave than they want, or no line of ours. */
export function messageOf(line: string, worst: number): LogMessage | undefined {
  const record = parsed(line);
  const severity = record === undefined ? undefined : (SEVERITY[record.level] ?? 6);
  if (record === undefined || severity === undefined || severity > worst) return undefined;
  const { name, time, level, text } = record;
  return { app_name: name, severity, timestamp: time, message: `${time} ${level.toUpperCase()} ${text}` };
}

/** What was appended to a log since the last look; begins at its present end. */
export class LogFollower {
  readonly #file: string;
  #at: number | undefined;
  #inode = 0;
  #rest = '';

  constructor(folder: string, name: string) {
    this.#file = path.join(folder, `${name}.log`);
  }

  /** New whole lines. */
  async read(): Promise<string[]> {
    const info = await this.#stat();
    if (info === undefined) return [];
    if (this.#at === undefined) {
      this.#at = info.size;
      this.#inode = info.ino;
      return [];
    }
    // Rotated: the new file is read from its beginning.
    if (info.ino !== this.#inode || info.size < this.#at) this.#at = 0;
    this.#inode = info.ino;
    if (info.size === this.#at) return [];
    const handle = await open(this.#file, 'r');
    try {
      const bytes = Buffer.alloc(Math.min(info.size - this.#at, 1024 * 1024));
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, this.#at);
      this.#at += bytesRead;
      const lines = (this.#rest + bytes.toString('utf8', 0, bytesRead)).split('\n');
      this.#rest = lines.pop() ?? '';
      return lines;
    } finally {
      await handle.close();
    }
  }

  async #stat(): Promise<Stats | undefined> {
    try {
      return await stat(this.#file);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }
}
