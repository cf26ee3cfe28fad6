import { setTimeout as sleep } from 'node:timers/promises';
import { GodwitError } from '@godwit/domain';
import { AbortWatch } from './abort-watch.ts';
import type { NbdAddress } from './disk-address.ts';
import { type ConnectionOwner, connectNbd, type NbdConnection } from './nbd-connection.ts';
import { addressLabel, replyError } from './nbd-errors.ts';
import type { NbdExport } from './nbd-handshake.ts';
import type { NbdRequest } from './nbd-request.ts';
import type { AgentSession } from './nbd-stream.ts';
import * as wire from './nbd-wire.ts';

/** How an NBD disk behaves. */
export interface NbdOptions {
  /** Name for errors. Default: the address. */
  label?: string;
  /** For one connection with TLS and negotiation, ms. Default 10,000. */
  connectTimeoutMs?: number;
  /** Longest time without any progress on a connection that has open requests, ms. Default 60,000. */
  stallTimeoutMs?: number;
  /** How long a lost server is called again before the disk gives up, ms; 0: never. Default 30,000. */
  reconnectForMs?: number;
  /** zero() punches holes, or keeps the space allocated. Default `punch`. */
  zeroing?: 'punch' | 'allocate';
  /** What an agent wants to hear before anything else. */
  session?: AgentSession;
  /** Open requests on each connection before another one is opened. Default 16; encrypted 4. */
  connectionShare?: number;
}

/** What is asked of the server. */
export interface NbdCall {
  /** `CMD_*`. */
  command: number;
  flags?: number;
  offset: number;
  length: number;
  /** Bytes to write. */
  payload?: Uint8Array;
  /** Where a read's bytes go. */
  into?: Uint8Array;
  /** Block status: the meta context that is wanted. */
  contextName?: string;
}

/**
 * Requests on each connection before another one is opened. Up to that one connection measured fastest; encrypted, two
 * measured faster than one.
 */
const CONNECTION_SHARE = 16;
const TLS_CONNECTION_SHARE = 4;
/**
 * A server on another machine that is further away than this, ms, gets all its connections with the first requests: each carries a window of
 * a few MiB per round trip, and one opened only under load comes two round trips late.
 */
const FAR_MS = 10;
const FAR_CONNECTION_SHARE = 2;
/** Lost connections that one request survives. */
const MAX_LOSSES = 3;
/** An aborted read whose bytes are arriving right now settles when they have come, or after that. */
const MAX_ABORT_MS = 200;
const FIRST_DELAY_MS = 50;
const MAX_DELAY_MS = 2_000;

/**
 * The connections of one NBD disk: sends each request on one of them, opens more under load, replaces lost ones.
 *
 * **Lost connections.** The server is called again with growing delays; open reads, writes, zeroes and status requests
 * are sent again. What a server acknowledged but had not flushed may be gone with it, so when a connection is lost while
 * such writes exist, this and every later flush rejects with CONNECTION_FAILED (retryable): the caller opens the disk
 * anew and resumes from its checkpoint. A disk without unflushed writes survives the loss unnoticed. A server that lives
 * on may carry out a write of the lost connection late: harmless beside its repetition, which holds the same bytes.
 *
 * **Aborted requests.** They settle at once (a read whose bytes are just arriving: with them); their reply is awaited in
 * the background and dropped. An aborted write may still happen until then, so requests that overlap it, and flushes,
 * wait for it.
 */
export class NbdLink implements ConnectionOwner {
  readonly label: string;
  readonly #address: NbdAddress;
  readonly #connectTimeoutMs: number;
  readonly #stallTimeoutMs: number;
  readonly #reconnectForMs: number;
  #share: number;
  readonly #session: AgentSession | undefined;
  readonly #aborts = new AbortWatch<NbdRequest>((request) => this.#abandon(request));
  readonly #closing = new AbortController();
  #info: NbdExport | null = null;
  #connections: NbdConnection[] = [];
  #maxConnections = 1;
  /** Connections being made beside the present ones. */
  #growing = 0;
  #reviving = false;
  /** Requests that wait for a connection. */
  #waiting: NbdRequest[] = [];
  /** Aborted writes whose reply has not come. */
  readonly #abandoned = new Set<NbdRequest>();
  #onDrained: (() => void)[] = [];
  /** Writes acknowledged so far, and how many of them the last flush covered. */
  #acknowledged = 0;
  #durable = 0;
  /** Acknowledged writes may have been lost with a connection. */
  #doubtful = false;
  /** Why the disk is of no more use. */
  #dead: GodwitError | null = null;

  constructor(address: NbdAddress, options: NbdOptions) {
    this.#address = address;
    this.label = options.label ?? addressLabel(address);
    this.#connectTimeoutMs = options.connectTimeoutMs ?? 10_000;
    this.#stallTimeoutMs = options.stallTimeoutMs ?? 60_000;
    this.#reconnectForMs = options.reconnectForMs ?? 30_000;
    this.#share = options.connectionShare ?? (address.tls ? TLS_CONNECTION_SHARE : CONNECTION_SHARE);
    this.#session = options.session;
  }

  /** What the server told about the export; constant. */
  get export(): NbdExport {
    if (this.#info === null) throw new Error('not connected');
    return this.#info;
  }

  async connect(signal?: AbortSignal): Promise<void> {
    const connection = await this.#call(signal);
    const { flags } = connection.info;
    if (!this.#address.readOnly && (flags & wire.FLAG_READ_ONLY) !== 0) {
      connection.close();
      throw new GodwitError('UNSUPPORTED', this.label, { what: 'writing (the export is read-only)' });
    }
    this.#info = connection.info;
    const isFar = 'host' in this.#address.transport && connection.info.roundTripMs > FAR_MS;
    if (isFar) this.#share = Math.min(this.#share, FAR_CONNECTION_SHARE);
    if ((flags & wire.FLAG_CAN_MULTI_CONN) !== 0) this.#maxConnections = this.#address.connections ?? 4;
    this.#connections.push(connection);
  }

  /** One request until its reply; resolves with the block status descriptors, if any. */
  issue(call: NbdCall, signal: AbortSignal | undefined): Promise<number[] | null> {
    if (this.#dead) return Promise.reject(this.#dead);
    if (signal?.aborted) return Promise.reject(new GodwitError('CANCELED', this.label, {}, { cause: signal.reason }));
    return new Promise((resolve, reject) => {
      const request: NbdRequest = {
        command: call.command,
        flags: call.flags ?? 0,
        offset: call.offset,
        length: call.length,
        payload: call.payload ?? null,
        into: call.into ?? null,
        chunks: 0,
        filled: 0,
        scattered: null,
        contextName: call.contextName ?? null,
        descriptors: null,
        errno: 0,
        errorText: '',
        losses: 0,
        abandoned: false,
        settle: (error) => {
          if (signal) this.#aborts.forget(signal, request);
          if (error) reject(error);
          else resolve(request.descriptors);
        },
      };
      if (signal) this.#aborts.watch(signal, request);
      this.#dispatch(request);
    });
  }

  /**
   * Everything acknowledged before is on stable storage, or it rejects.
   *
   * @throws GodwitError CONNECTION_FAILED after a loss (see above), UNSUPPORTED when the server cannot flush
   */
  async flush(signal: AbortSignal | undefined): Promise<void> {
    if (this.#abandoned.size > 0) await this.settled(0, Number.MAX_SAFE_INTEGER, signal);
    if (this.#doubtful) throw this.#doubt();
    const covered = this.#acknowledged;
    if ((this.export.flags & wire.FLAG_SEND_FLUSH) === 0) {
      if (covered === this.#durable) return;
      throw new GodwitError('UNSUPPORTED', this.label, { what: 'flushing' });
    }
    await this.issue({ command: wire.CMD_FLUSH, offset: 0, length: 0 }, signal);
    if (this.#doubtful) throw this.#doubt();
    this.#durable = Math.max(this.#durable, covered);
  }

  /** True when some aborted write may still happen. */
  get unsettled(): boolean {
    return this.#abandoned.size > 0;
  }

  /** Waits until no aborted write can happen in that range any more. */
  async settled(offset: number, length: number, signal: AbortSignal | undefined): Promise<void> {
    const overlaps = () =>
      [...this.#abandoned].some((other) => other.offset < offset + length && offset < other.offset + other.length);
    while (overlaps() && !this.#dead) {
      await new Promise<void>((resolve, reject) => {
        const onAbort = () => reject(new GodwitError('CANCELED', this.label));
        signal?.addEventListener('abort', onAbort, { once: true });
        this.#onDrained.push(() => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        });
        if (signal?.aborted) onAbort();
      });
    }
  }

  /** Ends all connections; open requests reject. Idempotent. */
  close(): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    this.#die(new GodwitError('CANCELED', this.label));
  }

  finished(request: NbdRequest, connection: NbdConnection): void {
    if (request.abandoned) {
      this.#drained(request);
      request.settle(new GodwitError('CANCELED', this.label));
    } else if (request.errno === wire.ESHUTDOWN) {
      const error = new GodwitError('CONNECTION_FAILED', this.label, { reason: 'the server is shutting down' });
      this.#sendAgain(request, error);
      connection.close();
    } else if (request.errno !== 0) {
      request.settle(replyError(this.label, request));
    } else {
      if (request.command === wire.CMD_WRITE || request.command === wire.CMD_WRITE_ZEROES) this.#acknowledged++;
      request.settle(null);
    }
  }

  lost(connection: NbdConnection, error: Error, open: NbdRequest[]): void {
    this.#connections = this.#connections.filter((other) => other !== connection);
    const failure = GodwitError.wrap(error, 'CONNECTION_FAILED', this.label);
    if (this.#acknowledged > this.#durable) this.#doubtful = true;
    for (const request of open) {
      if (request.abandoned) {
        this.#drained(request);
        request.settle(new GodwitError('CANCELED', this.label));
      } else if (this.#dead) request.settle(this.#dead);
      else if (request.command === wire.CMD_FLUSH && this.#doubtful) request.settle(this.#doubt(failure));
      else this.#sendAgain(request, failure);
    }
    if (failure.code === 'NBD_PROTOCOL') this.#die(failure);
    else if (this.#waiting.length > 0) this.#revive();
  }

  #doubt(cause?: Error): GodwitError {
    const reason = 'the connection was lost after writes that were not yet flushed; resume from the last checkpoint';
    return new GodwitError('CONNECTION_FAILED', this.label, { reason }, cause === undefined ? undefined : { cause });
  }

  #dispatch(request: NbdRequest): void {
    let best: NbdConnection | undefined;
    for (const connection of this.#connections) {
      if (best === undefined || connection.open < best.open) best = connection;
      if (best.open < this.#share) break;
    }
    if (best === undefined) {
      this.#waiting.push(request);
      this.#revive();
      return;
    }
    if (best.open >= this.#share) this.#grow();
    best.submit(request);
  }

  #abandon(request: NbdRequest): void {
    const queued = this.#waiting.indexOf(request);
    if (queued >= 0) {
      this.#waiting.splice(queued, 1);
    } else {
      request.abandoned = true;
      request.into = null;
      if (request.command === wire.CMD_WRITE || request.command === wire.CMD_WRITE_ZEROES) this.#abandoned.add(request);
      const filling = this.#connections.find((connection) => connection.isFilling(request));
      if (filling !== undefined) {
        // Its buffer is free when the bytes under way have come. When they do not, only cutting the connection frees it.
        setTimeout(() => {
          if (filling.isFilling(request)) filling.drop('an aborted read would not end');
          request.settle(new GodwitError('CANCELED', this.label));
        }, MAX_ABORT_MS).unref();
        return;
      }
    }
    request.settle(new GodwitError('CANCELED', this.label));
  }

  #drained(request: NbdRequest): void {
    if (!this.#abandoned.delete(request)) return;
    const waiting = this.#onDrained;
    this.#onDrained = [];
    for (const wake of waiting) wake();
  }

  #sendAgain(request: NbdRequest, error: GodwitError): void {
    request.chunks = 0;
    request.filled = 0;
    request.scattered = null;
    request.descriptors = null;
    request.errno = 0;
    request.errorText = '';
    request.losses++;
    if (request.losses > MAX_LOSSES || this.#reconnectForMs === 0) request.settle(error);
    else this.#waiting.push(request);
  }

  /** One negotiated connection that fits the disk. */
  async #call(signal: AbortSignal | undefined): Promise<NbdConnection> {
    const options = {
      label: this.label,
      connectTimeoutMs: this.#connectTimeoutMs,
      stallTimeoutMs: this.#stallTimeoutMs,
      session: this.#session,
    };
    const connection = await connectNbd(this.#address, this, options, signal);
    const was = this.#info?.size ?? connection.info.size;
    const is = connection.info.size;
    if (is === was) return connection;
    connection.close();
    throw new GodwitError(is < was ? 'DISK_SHRANK' : 'DISK_GREW', this.label, { was, is });
  }

  /** Takes a new connection in, unless the disk ended while it was made. */
  #adopt(connection: NbdConnection): boolean {
    if (this.#dead) connection.close();
    else this.#connections.push(connection);
    return this.#dead === null;
  }

  /** Opens one more connection beside the present ones, all of them when the server is far; when that fails it stays at those. */
  #grow(): void {
    const most = this.#share <= FAR_CONNECTION_SHARE ? this.#maxConnections : 1;
    while (this.#growing < most && this.#connections.length + this.#growing < this.#maxConnections) {
      this.#growing++;
      this.#call(this.#closing.signal)
        .then(
          (connection) => this.#adopt(connection),
          () => {
            this.#maxConnections = Math.max(1, this.#connections.length);
          },
        )
        .finally(() => {
          this.#growing--;
        });
    }
  }

  /** Calls the server until it answers, then sends what waits. */
  #revive(): void {
    if (this.#reviving || this.#dead) return;
    this.#reviving = true;
    this.#reconnect().then(
      (connection) => {
        this.#reviving = false;
        if (!this.#adopt(connection)) return;
        const waiting = this.#waiting;
        this.#waiting = [];
        for (const request of waiting) this.#dispatch(request);
      },
      (error) => {
        this.#reviving = false;
        this.#die(GodwitError.wrap(error, 'CONNECTION_FAILED', this.label));
      },
    );
  }

  async #reconnect(): Promise<NbdConnection> {
    const deadline = performance.now() + this.#reconnectForMs;
    const { signal } = this.#closing;
    for (let delay = FIRST_DELAY_MS; ; delay = Math.min(delay * 2, MAX_DELAY_MS)) {
      try {
        return await this.#call(signal);
      } catch (error) {
        const passing = error instanceof GodwitError && error.code === 'CONNECTION_FAILED';
        if (!passing || performance.now() + delay > deadline) throw error;
      }
      await sleep(delay, undefined, { signal });
    }
  }

  #die(error: GodwitError): void {
    this.#dead ??= error;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const request of waiting) request.settle(this.#dead);
    for (const connection of [...this.#connections]) connection.close();
    this.#aborts.close();
    for (const wake of this.#onDrained.splice(0)) wake();
  }
}
