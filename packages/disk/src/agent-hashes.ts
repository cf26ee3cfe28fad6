import { GodwitError } from '@godwit/domain';
import * as wire from './agent-wire.ts';
import type { NbdAddress } from './disk-address.ts';
import type { NbdConnectionOptions } from './nbd-connection.ts';
import { negotiate } from './nbd-handshake.ts';
import { NbdStream } from './nbd-stream.ts';
import { errnoNames, writeUint64 } from './nbd-wire.ts';

/** Leaves asked for at once: 16 MiB, which a slow device reads well within the stall timeout. */
const PART_LEAVES = 256;

interface HashRequest {
  offset: number;
  length: number;
  resolve(digests: Uint8Array): void;
  reject(error: GodwitError): void;
}

/**
 * The connection on which an agent is asked for digests. It is made at the first question; once lost it stays lost, as the
 * agent does.
 */
export class AgentHashes {
  readonly #address: NbdAddress;
  readonly #options: NbdConnectionOptions;
  readonly #closing = new AbortController();
  #stream: Promise<NbdStream> | null = null;
  #lost: GodwitError | null = null;
  /** Asked and not answered, in order: so come the answers. */
  readonly #open: HashRequest[] = [];
  #asked = 0;
  #answered = 0;
  #received: Buffer[] = [];
  #receivedBytes = 0;
  #watchdog: NodeJS.Timeout | null = null;

  constructor(address: NbdAddress, options: NbdConnectionOptions) {
    this.#address = address;
    this.#options = options;
  }

  /**
   * Digests of the leaves of a range, at most {@link wire.MAX_LEAVES} of them.
   *
   * @throws GodwitError CONNECTION_FAILED, NBD_PROTOCOL, DISK_READ_FAILED, CANCELED
   */
  async hash(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    const leaves = Math.ceil(length / wire.LEAF_BYTES);
    if (leaves > wire.MAX_LEAVES) throw new RangeError(`${leaves} leaves are too many`);
    if (signal?.aborted) throw this.#canceled();
    const digests = new Uint8Array(leaves * wire.DIGEST_BYTES);
    if (leaves === 0) return digests;
    const stream = await this.#connected(signal);
    await new Promise<void>((resolve, reject) => {
      const onAbort = () => reject(this.#canceled());
      signal?.addEventListener('abort', onAbort, { once: true });
      const parts = [];
      for (let first = 0; first < leaves; first += PART_LEAVES) {
        const at = first * wire.LEAF_BYTES;
        const part = this.#ask(stream, offset + at, Math.min(length - at, PART_LEAVES * wire.LEAF_BYTES));
        parts.push(part.then((told) => digests.set(told, first * wire.DIGEST_BYTES)));
      }
      Promise.all(parts)
        .then(() => resolve(), reject)
        .finally(() => signal?.removeEventListener('abort', onAbort));
      if (signal?.aborted) onAbort();
    });
    return digests;
  }

  /** Open questions reject. Idempotent. */
  close(): void {
    this.#closing.abort();
    this.#end(this.#canceled());
    this.#stream?.then(
      (stream) => stream.destroy(),
      () => undefined,
    );
  }

  #canceled(): GodwitError {
    return new GodwitError('CANCELED', this.#options.label);
  }

  /** The caller's abort gives up waiting for the connection, which others may wait for. */
  async #connected(signal: AbortSignal | undefined): Promise<NbdStream> {
    if (this.#lost) throw this.#lost;
    this.#stream ??= this.#connect();
    const made = this.#stream;
    return new Promise((resolve, reject) => {
      const onAbort = () => reject(this.#canceled());
      signal?.addEventListener('abort', onAbort, { once: true });
      made.then(resolve, reject).finally(() => signal?.removeEventListener('abort', onAbort));
    });
  }

  async #connect(): Promise<NbdStream> {
    const { label, connectTimeoutMs, session } = this.#options;
    const stream = new NbdStream(this.#address, label, session && { ...session, compression: null });
    const give = (error: GodwitError) => stream.destroy(error);
    const timer = setTimeout(
      give,
      connectTimeoutMs,
      new GodwitError('CONNECTION_FAILED', label, { reason: `no answer within ${connectTimeoutMs} ms` }),
    );
    const onClose = () => give(this.#canceled());
    this.#closing.signal.addEventListener('abort', onClose);
    try {
      await negotiate(stream, { label, export: this.#address.export, contexts: [], leaves: true });
    } catch (error) {
      stream.destroy();
      this.#lost = GodwitError.wrap(error, 'CONNECTION_FAILED', label);
      throw this.#lost;
    } finally {
      clearTimeout(timer);
      this.#closing.signal.removeEventListener('abort', onClose);
    }
    stream.switchTo(
      {
        place: () => null,
        placed: () => undefined,
        feed: (chunk, length) => {
          this.#received.push(Buffer.from(chunk.subarray(0, length)));
          this.#receivedBytes += length;
          if (!this.#parse()) stream.destroy();
        },
      },
      (error) => this.#end(GodwitError.wrap(error, 'CONNECTION_FAILED', label)),
    );
    return stream;
  }

  #ask(stream: NbdStream, offset: number, length: number): Promise<Uint8Array> {
    if (this.#lost) return Promise.reject(this.#lost);
    return new Promise((resolve, reject) => {
      const header = Buffer.allocUnsafe(wire.HASH_REQUEST_SIZE);
      header.writeUInt32BE(this.#asked++ >>> 0, 0);
      writeUint64(header, offset, 4);
      header.writeUInt32BE(length, 12);
      this.#open.push({ offset, length, resolve, reject });
      stream.send(header);
      if (this.#open.length === 1) this.#watch(stream);
    });
  }

  /** Hands whole answers to those who asked; false when the agent breaks the protocol. */
  #parse(): boolean {
    while (this.#receivedBytes >= wire.HASH_REPLY_SIZE) {
      const all = this.#received.length === 1 ? this.#received[0]! : Buffer.concat(this.#received);
      this.#received = [all];
      const request = this.#open[0];
      if (request === undefined) return this.#broken('digests that nobody asked for');
      if (all.readUInt32BE(0) !== this.#answered >>> 0) return this.#broken('an answer to another question');
      const errno = all.readUInt32BE(4);
      const bytes = errno === 0 ? Math.ceil(request.length / wire.LEAF_BYTES) * wire.DIGEST_BYTES : 0;
      const whole = wire.HASH_REPLY_SIZE + bytes;
      if (this.#receivedBytes < whole) return true;
      this.#received = all.length > whole ? [all.subarray(whole)] : [];
      this.#receivedBytes -= whole;
      this.#answered++;
      this.#open.shift();
      this.#unwatch();
      if (errno === 0) {
        request.resolve(all.subarray(wire.HASH_REPLY_SIZE, whole));
      } else {
        const reason = errnoNames[errno] ?? `error ${errno}`;
        const { offset } = request;
        request.reject(new GodwitError('DISK_READ_FAILED', this.#options.label, { offset, reason }));
      }
    }
    return true;
  }

  #broken(reason: string): false {
    this.#end(new GodwitError('NBD_PROTOCOL', this.#options.label, { reason }));
    return false;
  }

  #end(error: GodwitError): void {
    this.#lost ??= error;
    this.#unwatch();
    for (const request of this.#open.splice(0)) request.reject(this.#lost);
  }

  #watch(stream: NbdStream): void {
    const { label, stallTimeoutMs } = this.#options;
    this.#watchdog = setTimeout(() => {
      const reason = `no digests for ${stallTimeoutMs} ms`;
      this.#end(new GodwitError('CONNECTION_FAILED', label, { reason }));
      stream.destroy();
    }, stallTimeoutMs);
    this.#watchdog.unref();
  }

  /** Each answer starts the time anew. */
  #unwatch(): void {
    if (this.#watchdog === null) return;
    if (this.#open.length > 0 && this.#lost === null) {
      this.#watchdog.refresh();
    } else {
      clearTimeout(this.#watchdog);
      this.#watchdog = null;
    }
  }
}
