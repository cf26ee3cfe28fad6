import { createHash, type Hash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { Transform, type TransformCallback } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';
import { GodwitError } from '@godwit/domain';

/** First line of a backup: who wrote it and what is in it, for people and for {@link readBackup}. */
export interface BackupHeader {
  type: 'godwit-backup';
  version: 1;
  /** Version of the Godwit that wrote it. */
  godwit: string;
  /** Start of the one transaction that everything in it was read in, ISO 8601 UTC. */
  taken_at: string;
  /** Migrations that had run, in order. */
  migrations: string[];
  /** Keys that sealed the secrets in it: without them those do not open. */
  key_ids: string[];
  /** True: the keys are in it, so whoever has it has every secret. */
  with_keys: boolean;
}

/** Files of `GODWIT_HOME/keys`. */
export interface BackupKeys {
  /** Text of `secrets.json`. */
  secrets: string;
  /** Text of `receipt.pem`; absent where there is none yet. */
  receipt?: string;
}

export interface BackupTable {
  name: string;
  columns: string[];
}

/** What stands last: it shows that nothing is missing. */
export interface BackupEnd {
  rows: Record<string, number>;
  sequences: Record<string, string>;
}

export type BackupPart =
  | { kind: 'keys'; keys: BackupKeys }
  | { kind: 'table'; table: BackupTable }
  | { kind: 'rows'; bytes: Buffer }
  | { kind: 'end'; end: BackupEnd };

/** One byte for the kind, four for the length, then so many bytes. */
const HEAD = 5;
const KINDS = { K: 'keys', T: 'table', R: 'rows', E: 'end', S: 'sum' } as const;
type Letter = keyof typeof KINDS;
/** A row is at most as long as Postgres's own limit of 1 GiB; a frame of ours is one piece of what COPY gives. */
const LONGEST = 1_073_741_824;
const LONGEST_HEADER = 1_048_576;

/**
 * Writes a backup: a line of JSON, then frames compressed by zstd, the last with the SHA-256 of all before it. The file has
 * its name when it is whole and on stable storage; only its owner can read it.
 */
export class BackupWriter {
  readonly #file: string;
  readonly #frames: Frames;
  readonly #written: Promise<void>;

  constructor(file: string, header: BackupHeader) {
    this.#file = file;
    const line = Buffer.from(`${JSON.stringify(header)}\n`);
    this.#frames = new Frames(createHash('sha256').update(line));
    const out = createWriteStream(`${file}.part`, { mode: 0o600, flush: true });
    out.write(line);
    const compress = createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 3 } });
    this.#written = pipeline(this.#frames, compress, out).catch((error: unknown) => {
      throw GodwitError.wrap(error, 'BACKUP_WRITE', file);
    });
    this.#written.catch(() => undefined);
  }

  keys(keys: BackupKeys): Promise<void> {
    return this.#json('K', keys);
  }

  table(table: BackupTable): Promise<void> {
    return this.#json('T', table);
  }

  rows(bytes: Buffer): Promise<void> {
    return this.#frame('R', bytes);
  }

  async end(end: BackupEnd): Promise<void> {
    await this.#json('E', end);
    this.#frames.end();
    await this.#written;
    try {
      await rename(`${this.#file}.part`, this.#file);
      await syncFolder(path.dirname(this.#file));
    } catch (error) {
      throw GodwitError.wrap(error, 'BACKUP_WRITE', this.#file);
    }
  }

  async abandon(): Promise<void> {
    this.#frames.destroy(new Error('abandoned'));
    await this.#written.catch(() => undefined);
    await rm(`${this.#file}.part`, { force: true });
  }

  #json(letter: Letter, value: unknown): Promise<void> {
    return this.#frame(letter, Buffer.from(JSON.stringify(value)));
  }

  async #frame(letter: Letter, bytes: Buffer): Promise<void> {
    const ready = this.#frames.write(frame(letter, bytes));
    if (ready) return;
    const drained = new Promise<void>((resolve) => this.#frames.once('drain', resolve));
    // A disk that is full never drains.
    await Promise.race([drained, this.#written]);
  }
}

const frame = (letter: Letter, bytes: Buffer): Buffer => {
  const head = Buffer.alloc(HEAD);
  head.write(letter, 0, 'latin1');
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
};

/** Passes frames on, and sums them up at the end. */
class Frames extends Transform {
  readonly #hash: Hash;

  constructor(hash: Hash) {
    super();
    this.#hash = hash;
  }

  override _transform(chunk: Buffer, _: BufferEncoding, done: TransformCallback): void {
    this.#hash.update(chunk);
    done(null, chunk);
  }

  override _flush(done: TransformCallback): void {
    done(null, frame('S', this.#hash.digest()));
  }
}

/** @throws GodwitError BACKUP_FILE when it is none */
export async function readBackupHeader(file: string): Promise<BackupHeader> {
  const handle = await opened(file);
  try {
    return parseHeader(file, await firstLine(file, handle));
  } finally {
    await handle.close();
  }
}

/**
 * The parts of a backup in order. Every frame is checked when it comes and their sum at the end: whoever acts on them must
 * have read it through once before.
 *
 * @throws GodwitError BACKUP_FILE when it is damaged or cut off
 */
export async function* readBackup(file: string): AsyncGenerator<BackupPart> {
  const handle = await opened(file);
  const line = await firstLine(file, handle).finally(() => handle.close());
  parseHeader(file, line);
  const hash = createHash('sha256').update(line);
  const source = createReadStream(file, { start: line.length });
  const unpacked = createZstdDecompress();
  const passing = pipeline(source, unpacked);
  passing.catch(() => undefined);
  let waiting: Buffer = Buffer.alloc(0);
  let whole = false;
  try {
    for await (const chunk of unpacked as AsyncIterable<Buffer>) {
      waiting = waiting.length === 0 ? chunk : Buffer.concat([waiting, chunk]);
      for (;;) {
        if (waiting.length < HEAD) break;
        const length = waiting.readUInt32BE(1);
        if (whole || length > LONGEST) throw damaged(file, 'it goes on after its end, or a part of it is too long');
        if (waiting.length < HEAD + length) break;
        const letter = waiting.toString('latin1', 0, 1);
        const bytes = waiting.subarray(HEAD, HEAD + length);
        if (letter === 'S') {
          if (!hash.digest().equals(bytes)) throw damaged(file, 'its sum does not fit');
          whole = true;
        } else {
          hash.update(waiting.subarray(0, HEAD + length));
          yield partOf(file, letter, bytes);
        }
        waiting = waiting.subarray(HEAD + length);
      }
    }
    await passing;
  } catch (error) {
    if (error instanceof GodwitError) throw error;
    throw damaged(file, error instanceof Error ? error.message : String(error), error);
  } finally {
    source.destroy();
    unpacked.destroy();
  }
  if (!whole || waiting.length > 0) throw damaged(file, 'it is cut off');
}

function partOf(file: string, letter: string, bytes: Buffer): BackupPart {
  const json = <T>(): T => JSON.parse(bytes.toString('utf8')) as T;
  switch (letter) {
    case 'K':
      return { kind: 'keys', keys: json<BackupKeys>() };
    case 'T':
      return { kind: 'table', table: json<BackupTable>() };
    case 'R':
      return { kind: 'rows', bytes };
    case 'E':
      return { kind: 'end', end: json<BackupEnd>() };
    default:
      throw damaged(file, 'it holds something unknown');
  }
}

async function opened(file: string): Promise<FileHandle> {
  try {
    return await open(file, 'r');
  } catch (error) {
    throw damaged(file, error instanceof Error ? error.message : String(error), error);
  }
}

async function firstLine(file: string, handle: FileHandle): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(LONGEST_HEADER), 0, LONGEST_HEADER, 0);
  const end = buffer.subarray(0, bytesRead).indexOf('\n');
  if (end < 0) throw damaged(file, 'it does not begin as a backup of Godwit does');
  return buffer.subarray(0, end + 1);
}

function parseHeader(file: string, line: Buffer): BackupHeader {
  try {
    const header = JSON.parse(line.toString('utf8')) as BackupHeader;
    if (header.type === 'godwit-backup' && header.version === 1 && Array.isArray(header.migrations)) return header;
  } catch (error) {
    throw damaged(file, 'it does not begin as a backup of Godwit does', error);
  }
  throw damaged(file, 'it is no backup of this kind, or of a newer Godwit');
}

const damaged = (file: string, reason: string, cause?: unknown): GodwitError =>
  new GodwitError('BACKUP_FILE', file, { reason }, { cause });

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  await handle.sync().finally(() => handle.close());
}
