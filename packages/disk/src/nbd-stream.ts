import { readFile } from 'node:fs/promises';
import { connect as netConnect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as tlsConnect } from 'node:tls';
import { GodwitError } from '@godwit/domain';
import type { SessionWish } from './agent-wire.ts';
import type { CompressionChoice } from './compression-choice.ts';
import type { NbdAddress } from './disk-address.ts';
import { FramedStream } from './framed-stream.ts';
import type { HandshakeStream } from './nbd-handshake.ts';

/** What an agent wants to hear, and what the connections to it share. */
export interface AgentSession {
  token: string;
  /** Null: nothing is compressed. */
  compression: CompressionChoice | null;
}

/** Takes the bytes of a stream, each of them once and in order, by `placed` or by `feed`. */
export interface ByteReceiver {
  /** Where to put the bytes that come next; null: anywhere, they are then fed. */
  place(): Buffer | null;
  /** So many bytes came and are where `place` said. */
  placed(length: number): void;
  /** So many bytes came; `chunk` is only valid during the call and may be longer. */
  feed(chunk: Buffer, length: number): void;
}

/** Bytes of the receive buffer: headers and the payload that comes along with them. */
const RECEIVE_BUFFER = 65_536;
/** Unread bytes during negotiation at most: a server that sends more before it is asked is hostile. */
const MAX_UNREAD = 1_048_576;

/**
 * The socket of one connection, plain or TLS. During negotiation bytes are taken by count; `switchTo` hands the rest to
 * the reply parser, which may have them received where they belong.
 */
export class NbdStream implements HandshakeStream {
  readonly #label: string;
  #socket: Duplex;
  #unread: Buffer[] = [];
  #unreadBytes = 0;
  #waiting: { bytes: number; resolve(bytes: Buffer): void; reject(error: Error): void } | null = null;
  #receiver: ByteReceiver | null = null;
  /** Where the socket receives when the receiver has no better place. */
  readonly #buffer: Buffer;
  /** Where the socket receives next. */
  #target: Buffer;
  #ended: Error | null = null;
  #onEnd: ((error: Error) => void) | null = null;
  #corked = false;
  readonly startTls?: () => Promise<void>;
  readonly session?: { wish: Uint8Array; begin(): void };

  /**
   * Connects; the returned stream reports refusal by its first `take`.
   *
   * @param session of an agent
   */
  constructor(address: NbdAddress, label: string, session?: AgentSession) {
    this.#label = label;
    const transport = address.transport;
    this.#buffer = Buffer.allocUnsafeSlow(RECEIVE_BUFFER);
    this.#target = this.#buffer;
    const target = 'unix' in transport ? { path: transport.unix } : { host: transport.host, port: transport.port };
    let plain: Socket;
    if (address.tls || session?.compression) {
      plain = netConnect(target);
      plain.on('data', this.#onData);
    } else {
      plain = netConnect({
        ...target,
        onread: {
          buffer: () => {
            this.#target = this.#receiver?.place() ?? this.#buffer;
            return this.#target;
          },
          callback: (length) => {
            if (this.#target === this.#buffer) this.#received(this.#buffer, length);
            else if (!this.#ended) this.#receiver?.placed(length);
            return true;
          },
        },
      });
    }
    plain.setNoDelay(true);
    this.#socket = plain;
    this.#watch(plain);
    const { tls } = address;
    if (tls) this.startTls = () => this.#upgrade(plain, tls, 'unix' in transport ? undefined : transport.host);
    if (session) {
      const { token, compression } = session;
      const wish: SessionWish = { token, compress: compression !== null };
      const begin = () => {
        if (compression) this.#frame(plain, compression);
      };
      this.session = { wish: Buffer.from(JSON.stringify(wish), 'utf8'), begin };
    }
  }

  /** Bytes accepted but not yet handed to the kernel. */
  get unsent(): number {
    return this.#socket.writableLength;
  }

  /** Queues bytes; all that are queued in one turn of the event loop leave in one system call. The buffers are not copied. */
  send(bytes: Uint8Array): void {
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
      process.nextTick(this.#uncork);
    }
    this.#socket.write(bytes);
  }

  take(bytes: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#waiting = { bytes, resolve, reject };
      this.#serve();
    });
  }

  /** From now on every byte goes to `receiver` and the end of the connection to `onEnd`, once. */
  switchTo(receiver: ByteReceiver, onEnd: (error: Error) => void): void {
    const rest = Buffer.concat(this.#unread);
    this.#unread = [];
    this.#unreadBytes = 0;
    this.#receiver = receiver;
    this.#onEnd = onEnd;
    if (rest.length > 0) receiver.feed(rest, rest.length);
    if (this.#ended) onEnd(this.#ended);
  }

  /** Ends it after what is queued was sent. */
  end(): void {
    this.#uncork();
    this.#socket.end(() => this.#socket.destroy());
  }

  /** Ends it at once. */
  destroy(error?: Error): void {
    this.#finish(error ?? new Error('closed'));
    this.#socket.destroy();
  }

  readonly #uncork = (): void => {
    this.#corked = false;
    this.#socket.uncork();
  };

  readonly #onData = (chunk: Buffer): void => this.#received(chunk, chunk.length);

  #watch(socket: Duplex): void {
    socket.on('error', (error) => this.#finish(error));
    socket.on('end', () => {
      this.#finish(new Error('the server closed the connection'));
      socket.destroy();
    });
    socket.on('close', () => this.#finish(new Error('the connection was closed')));
  }

  #received(chunk: Buffer, length: number): void {
    if (this.#ended) return;
    if (this.#receiver) {
      this.#receiver.feed(chunk, length);
      return;
    }
    this.#unread.push(Buffer.from(chunk.subarray(0, length)));
    this.#unreadBytes += length;
    if (this.#unreadBytes > MAX_UNREAD) {
      this.destroy(new GodwitError('NBD_PROTOCOL', this.#label, { reason: 'it sends without being asked' }));
      return;
    }
    this.#serve();
  }

  #serve(): void {
    const waiting = this.#waiting;
    if (waiting === null) return;
    if (this.#unreadBytes >= waiting.bytes) {
      const all = this.#unread.length === 1 ? this.#unread[0]! : Buffer.concat(this.#unread);
      this.#waiting = null;
      this.#unread = all.length > waiting.bytes ? [all.subarray(waiting.bytes)] : [];
      this.#unreadBytes -= waiting.bytes;
      waiting.resolve(all.subarray(0, waiting.bytes));
    } else if (this.#ended) {
      this.#waiting = null;
      waiting.reject(this.#ended);
    }
  }

  #finish(error: Error): void {
    if (this.#ended) return;
    this.#ended = error;
    this.#serve();
    this.#onEnd?.(error);
  }

  /** The session was granted: goes on in frames. */
  #frame(plain: Socket, compression: CompressionChoice): void {
    plain.off('data', this.#onData);
    const early = Buffer.concat(this.#unread);
    this.#unread = [];
    this.#unreadBytes = 0;
    this.#socket = new FramedStream(plain, compression, early);
    this.#socket.on('data', this.#onData);
    this.#watch(this.#socket);
  }

  /** STARTTLS was granted: goes on encrypted, the server's certificate checked against the CA and the name. */
  async #upgrade(plain: Socket, tls: NonNullable<NbdAddress['tls']>, host: string | undefined): Promise<void> {
    const [ca, cert, key] = await Promise.all([
      readFile(tls.caFile),
      tls.certFile ? readFile(tls.certFile) : undefined,
      tls.keyFile ? readFile(tls.keyFile) : undefined,
    ]);
    plain.off('data', this.#onData);
    const name = tls.serverName ?? host ?? 'localhost';
    const secure = tlsConnect({
      socket: plain,
      ca,
      ...(cert ? { cert } : {}),
      ...(key ? { key } : {}),
      host: name,
      ...(/^[\d.]+$|:/.test(name) ? {} : { servername: name }),
      rejectUnauthorized: true,
      minVersion: 'TLSv1.2',
    });
    this.#socket = secure;
    secure.on('data', this.#onData);
    await new Promise<void>((resolve, reject) => {
      secure.once('secureConnect', resolve);
      secure.once('error', (error) =>
        reject(new GodwitError('AUTHENTICATION_FAILED', this.#label, { reason: error.message }, { cause: error })),
      );
      secure.once('close', () => reject(new GodwitError('CONNECTION_FAILED', this.#label, { reason: 'TLS was cut' })));
    });
    this.#watch(secure);
  }
}
