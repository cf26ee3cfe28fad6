import { GodwitError } from '@godwit/domain';
import type { NbdAddress } from './disk-address.ts';
import { type NbdExport, negotiate } from './nbd-handshake.ts';
import { NbdReplyParser, ReplyError, type ReplySink } from './nbd-reply-parser.ts';
import type { NbdRequest } from './nbd-request.ts';
import { type AgentSession, NbdStream } from './nbd-stream.ts';
import * as wire from './nbd-wire.ts';

export interface NbdConnectionOptions {
  /** Name for errors. */
  label: string;
  /** For TCP connect, TLS and negotiation together, ms. */
  connectTimeoutMs: number;
  /** Longest time without any progress while a request is open, ms. */
  stallTimeoutMs: number;
  /** Of an agent's connection. */
  session?: AgentSession | undefined;
}

/** Who owns a connection. */
export interface ConnectionOwner {
  /** A request got its last reply chunk. */
  finished(request: NbdRequest, connection: NbdConnection): void;
  /** The connection is gone; `open` are the requests without a full reply. Called once. */
  lost(connection: NbdConnection, error: Error, open: NbdRequest[]): void;
}

/**
 * Negotiates one connection.
 *
 * @throws GodwitError CONNECTION_FAILED, NBD_PROTOCOL, NOT_FOUND, AUTHENTICATION_FAILED
 */
export async function connectNbd(
  address: NbdAddress,
  owner: ConnectionOwner,
  options: NbdConnectionOptions,
  signal?: AbortSignal,
): Promise<NbdConnection> {
  const { label } = options;
  if (signal?.aborted) throw new GodwitError('CANCELED', label);
  const stream = new NbdStream(address, label, options.session);
  const give = (reason: string) => stream.destroy(new GodwitError('CONNECTION_FAILED', label, { reason }));
  const timer = setTimeout(give, options.connectTimeoutMs, `no answer within ${options.connectTimeoutMs} ms`);
  const onAbort = () => stream.destroy(new GodwitError('CANCELED', label));
  signal?.addEventListener('abort', onAbort);
  try {
    const contexts = ['base:allocation'];
    if (address.changedContext) contexts.push(address.changedContext);
    const info = await negotiate(stream, { label, export: address.export, contexts });
    return new NbdConnection(stream, info, owner, options);
  } catch (error) {
    stream.destroy();
    throw GodwitError.wrap(error, 'CONNECTION_FAILED', label);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}

/**
 * One connection in the transmission phase: sends requests, matches replies by cookie, notices a stalled server.
 * Knows nothing of reconnecting: when it ends it hands its open requests back to the owner.
 */
export class NbdConnection implements ReplySink {
  readonly info: NbdExport;
  readonly #stream: NbdStream;
  readonly #owner: ConnectionOwner;
  readonly #options: NbdConnectionOptions;
  readonly #parser: NbdReplyParser;
  /** Open requests by slot; a slot's turn counts its uses. */
  readonly #slots: (NbdRequest | null)[] = [];
  readonly #turns: number[] = [];
  readonly #freeSlots: number[] = [];
  #open = 0;
  #ended = false;
  #watchdog: NodeJS.Timeout | null = null;
  #progress = 0;
  #seenProgress = 0;
  #seenUnsent = 0;
  #idleTicks = 0;

  constructor(stream: NbdStream, info: NbdExport, owner: ConnectionOwner, options: NbdConnectionOptions) {
    this.info = info;
    this.#stream = stream;
    this.#owner = owner;
    this.#options = options;
    this.#parser = new NbdReplyParser(this, info.structured);
    const parser = this.#parser;
    const receiver = {
      place: () => parser.place(),
      placed: (length: number) => this.#received(() => parser.placed(length)),
      feed: (chunk: Buffer, length: number) => this.#received(() => parser.feed(chunk, length)),
    };
    stream.switchTo(receiver, (error) => this.#end(error));
  }

  /** Requests without a full reply. */
  get open(): number {
    return this.#open;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Sends a request; the owner hears of its end. */
  submit(request: NbdRequest): void {
    const slot = this.#freeSlots.pop() ?? this.#slots.length;
    const turn = ((this.#turns[slot] ?? 0) + 1) >>> 0;
    this.#turns[slot] = turn;
    this.#slots[slot] = request;
    this.#open++;
    if (this.#watchdog === null) this.#startWatchdog();
    this.#stream.send(wire.encodeRequest(request.command, request.flags, turn, slot, request.offset, request.length));
    if (request.payload !== null) this.#stream.send(request.payload);
  }

  /** True while the socket may write into the request's buffer at any moment. */
  isFilling(request: NbdRequest): boolean {
    return this.#parser.isFilling(request);
  }

  find(turn: number, slot: number): NbdRequest | undefined {
    const request = this.#slots[slot];
    return request && this.#turns[slot] === turn ? request : undefined;
  }

  contextId(name: string): number | undefined {
    return this.info.contexts.get(name);
  }

  finished(slot: number, request: NbdRequest): void {
    this.#slots[slot] = null;
    this.#freeSlots.push(slot);
    this.#open--;
    this.#owner.finished(request, this);
  }

  /** Gives it up; open requests go back to the owner. */
  drop(reason: string): void {
    this.#end(new GodwitError('CONNECTION_FAILED', this.#options.label, { reason }));
    this.#stream.destroy();
  }

  /** Says goodbye and ends; open requests go back to the owner. */
  close(): void {
    if (this.#ended) return;
    if (this.#open === 0) {
      this.#stream.send(wire.encodeRequest(wire.CMD_DISCONNECT, 0, 0, 0, 0, 0));
      this.#stream.end();
    } else {
      // Queued buffers go back to their callers and a reply may be on its way into one: nothing more may move.
      this.#stream.destroy();
    }
    this.#end(new GodwitError('CANCELED', this.#options.label));
  }

  #received(parse: () => void): void {
    this.#progress++;
    try {
      parse();
    } catch (error) {
      const reason = error instanceof ReplyError ? error.message : String(error);
      this.#end(new GodwitError('NBD_PROTOCOL', this.#options.label, { reason }, { cause: error }));
      this.#stream.destroy();
    }
  }

  #end(error: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#watchdog !== null) clearInterval(this.#watchdog);
    const open = this.#slots.filter((request) => request !== null);
    this.#slots.length = 0;
    this.#open = 0;
    this.#owner.lost(this, error, open);
  }

  /** Four ticks without a byte either way while requests are open: the server is as good as gone. */
  #startWatchdog(): void {
    this.#watchdog = setInterval(() => {
      const unsent = this.#stream.unsent;
      const moved = this.#open === 0 || this.#progress !== this.#seenProgress || unsent !== this.#seenUnsent;
      this.#seenProgress = this.#progress;
      this.#seenUnsent = unsent;
      this.#idleTicks = moved ? 0 : this.#idleTicks + 1;
      if (this.#idleTicks < 4) return;
      this.drop(`no reply for ${this.#options.stallTimeoutMs} ms`);
    }, this.#options.stallTimeoutMs / 4);
    this.#watchdog.unref();
  }
}
