import type { Duplex } from 'node:stream';

/** Bytes received and not yet taken before the sender is held up. */
const MAX_UNREAD = 1_048_576;

/** The connection ended, or is of no more use. */
export class EndedError extends Error {}

/** Takes the bytes of a connection by count. One taker at a time. */
export class ByteReader {
  readonly #stream: Duplex;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #ended: EndedError | null = null;
  #wake: (() => void) | null = null;
  readonly #onData = (chunk: Buffer): void => {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes > MAX_UNREAD) this.#stream.pause();
    this.#wake?.();
  };
  readonly #onEnd = (): void => {
    this.#ended ??= new EndedError('the connection ended');
    this.#wake?.();
  };

  constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on('data', this.#onData);
    for (const event of ['end', 'close', 'error']) stream.on(event, this.#onEnd);
  }

  /** Exactly that many bytes. */
  async take(bytes: number): Promise<Buffer> {
    const first = this.#chunks[0];
    if (first !== undefined && first.length >= bytes) {
      this.#drop(bytes);
      return first.subarray(0, bytes);
    }
    const taken = Buffer.allocUnsafe(bytes);
    await this.fill(taken);
    return taken;
  }

  /** Fills a buffer whole. */
  async fill(into: Uint8Array): Promise<void> {
    for (let done = 0; done < into.length; ) {
      const first = this.#chunks[0];
      if (first === undefined) {
        await this.#more();
        continue;
      }
      const part = first.subarray(0, into.length - done);
      into.set(part, done);
      done += part.length;
      this.#drop(part.length);
    }
  }

  /** Takes no more; what came and was not taken. */
  detach(): Buffer {
    this.#stream.off('data', this.#onData);
    const rest = Buffer.concat(this.#chunks);
    this.#chunks = [];
    this.#bytes = 0;
    return rest;
  }

  #drop(bytes: number): void {
    const first = this.#chunks[0]!;
    if (first.length > bytes) this.#chunks[0] = first.subarray(bytes);
    else this.#chunks.shift();
    this.#bytes -= bytes;
    if (this.#bytes <= MAX_UNREAD && this.#stream.isPaused()) this.#stream.resume();
  }

  async #more(): Promise<void> {
    if (this.#ended) throw this.#ended;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = null;
  }
}
