// Sent to minions: imports nothing but Node's own modules and files that are sent along.
import { Duplex } from 'node:stream';
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompress } from 'node:zlib';
import { FRAME_HEADER_SIZE, FRAME_PACKED, MAX_FRAME } from './agent-wire.ts';
import type { CompressionChoice } from './compression-choice.ts';

const pack = promisify(zstdCompress);
const unpack = promisify(zstdDecompress);

/** Smaller pieces go raw: headers and short answers. */
const MIN_PACKED = 4_096;
/** A packed piece must be this much smaller, or it goes raw and nobody unpacks it. */
const MIN_GAIN = 0.95;
/** zstd's fastest level but one: 400 MB/s and more, where links that need it carry a tenth of that. */
const LEVEL = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
/** Frames received and not yet taken, bytes, before the sender is held up. */
const MAX_UNREAD = 4 * MAX_FRAME;

/** A connection whose bytes go in frames, each compressed or not as {@link CompressionChoice} finds faster. */
export class FramedStream extends Duplex {
  readonly #inner: Duplex;
  readonly #choice: CompressionChoice;
  #received: Buffer[] = [];
  #receivedBytes = 0;
  #unpacking = false;
  #wanted = false;
  #ended = false;

  /** @param early bytes of the connection that were received already */
  constructor(inner: Duplex, choice: CompressionChoice, early: Buffer) {
    super({ readableHighWaterMark: MAX_FRAME, writableHighWaterMark: MAX_FRAME });
    this.#inner = inner;
    this.#choice = choice;
    inner.on('data', (chunk: Buffer) => this.#take(chunk));
    inner.on('end', () => {
      this.#ended = true;
      this.#advance();
    });
    inner.on('error', (error) => this.destroy(error));
    inner.on('close', () => {
      // What has arrived may still be read.
      if (!this.#ended) this.destroy();
    });
    if (early.length > 0) this.#take(early);
    inner.resume();
  }

  override _read(): void {
    this.#wanted = true;
    this.#advance();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#send([chunk]).then(() => done(), done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#send(chunks.map(({ chunk }) => chunk)).then(() => done(), done);
  }

  override _final(done: () => void): void {
    this.#inner.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#inner.destroy();
    this.#received = [];
    done(error);
  }

  async #send(chunks: Buffer[]): Promise<void> {
    for (const frame of inFrames(chunks)) {
      const bytes = frame.reduce((sum, part) => sum + part.length, 0);
      const begun = performance.now();
      let parts = frame;
      let mark = 0;
      const packs = bytes >= MIN_PACKED && this.#choice.packs;
      if (packs) {
        const packed = await pack(frame.length === 1 ? frame[0]! : Buffer.concat(frame, bytes), LEVEL);
        if (packed.length < bytes * MIN_GAIN) {
          parts = [packed];
          mark = FRAME_PACKED;
        }
      }
      const header = Buffer.allocUnsafe(FRAME_HEADER_SIZE);
      header.writeUInt32BE((mark | (mark === 0 ? bytes : parts[0]!.length)) >>> 0, 0);
      await this.#hand([header, ...parts]);
      if (bytes >= MIN_PACKED) this.#choice.sent(packs, bytes, performance.now() - begun);
    }
  }

  /** Resolves when the kernel has the bytes: their buffers are free then. */
  #hand(parts: Buffer[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const inner = this.#inner;
      if (inner.destroyed) {
        reject(new Error('the connection was closed'));
        return;
      }
      inner.cork();
      parts.forEach((part, index) => {
        if (index < parts.length - 1) inner.write(part);
        else inner.write(part, (error) => (error ? reject(error) : resolve()));
      });
      inner.uncork();
    });
  }

  #take(chunk: Buffer): void {
    this.#received.push(chunk);
    this.#receivedBytes += chunk.length;
    if (this.#receivedBytes > MAX_UNREAD) this.#inner.pause();
    this.#advance();
  }

  /** Hands frames on, one after the other, while the reader wants them. */
  #advance(): void {
    while (this.#wanted && !this.#unpacking && !this.destroyed) {
      const frame = this.#next();
      if (frame === null) {
        if (this.#ended) {
          this.#wanted = false;
          this.push(null);
        }
        return;
      }
      if (!frame.packed) {
        this.#give(frame.bytes);
        continue;
      }
      this.#unpacking = true;
      unpack(frame.bytes, { maxOutputLength: MAX_FRAME }).then(
        (bytes) => {
          this.#unpacking = false;
          this.#give(bytes);
          this.#advance();
        },
        () => this.destroy(new Error('a frame cannot be unpacked')),
      );
    }
  }

  #give(bytes: Buffer): void {
    if (bytes.length > 0 && !this.destroyed) this.#wanted = this.push(bytes);
  }

  /** The next whole frame; null when it has not come yet. */
  #next(): { packed: boolean; bytes: Buffer } | null {
    if (this.#receivedBytes < FRAME_HEADER_SIZE) return null;
    const header = this.#peek(FRAME_HEADER_SIZE).readUInt32BE(0);
    const length = header & ~FRAME_PACKED;
    if (length > MAX_FRAME) {
      this.destroy(new Error(`a frame of ${length} bytes`));
      return null;
    }
    if (this.#receivedBytes < FRAME_HEADER_SIZE + length) return null;
    const whole = this.#peek(FRAME_HEADER_SIZE + length);
    const rest = this.#received[0]!.subarray(whole.length);
    if (rest.length > 0) this.#received[0] = rest;
    else this.#received.shift();
    this.#receivedBytes -= whole.length;
    if (this.#receivedBytes <= MAX_UNREAD) this.#inner.resume();
    return { packed: header >= FRAME_PACKED, bytes: whole.subarray(FRAME_HEADER_SIZE) };
  }

  /** The first `bytes` received, in one piece at the head of the list. */
  #peek(bytes: number): Buffer {
    const first = this.#received[0]!;
    if (first.length >= bytes) return first.subarray(0, bytes);
    let count = 0;
    let sum = 0;
    while (sum < bytes) sum += this.#received[count++]!.length;
    const joined = Buffer.concat(this.#received.splice(0, count), sum);
    this.#received.unshift(joined);
    return joined.subarray(0, bytes);
  }
}

/** Cuts what is to be sent into frames, without copying. */
function inFrames(chunks: Buffer[]): Buffer[][] {
  const frames: Buffer[][] = [[]];
  let room = MAX_FRAME;
  for (let chunk of chunks) {
    while (chunk.length > 0) {
      if (room === 0) {
        frames.push([]);
        room = MAX_FRAME;
      }
      const part = chunk.subarray(0, room);
      frames.at(-1)!.push(part);
      room -= part.length;
      chunk = chunk.subarray(part.length);
    }
  }
  return frames;
}
