import { setTimeout as sleep } from 'node:timers/promises';
import { GodwitError } from '@godwit/domain';
import { AbortWatch } from './abort-watch.ts';
import type { Disk, Extent, Range } from './disk.ts';
import type { NbdAddress } from './disk-address.ts';
import { inParts } from './disk-parts.ts';
import { checkRange } from './disk-range.ts';
import { type ConnectionOwner, connectNbd, type NbdConnection } from './nbd-connection.ts';
import { addressLabel, replyError } from './nbd-errors.ts';
import { changedRanges, dirtyKind, ExtentCollector, extentKind } from './nbd-extents.ts';
import type { NbdExport } from './nbd-handshake.ts';
import type { NbdRequest } from './nbd-request.ts';
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
}

/** Bytes zeroed by one request at most: a server without holes writes them one by one within the stall timeout. */
const ZERO_PART = 134_217_728;
/** Bytes described by one block status request at most; the protocol's field has 32 bits. */
const STATUS_PART = 4_294_901_760;
/** Parts of one call in flight. */
const PARTS_IN_FLIGHT = 8;
/** Requests on each connection before another one is opened: up to that, one connection is the fastest. */
const CONNECTION_SHARE = 16;
/** Lost connections that one request survives. */
const MAX_LOSSES = 3;
/** An aborted read whose bytes are arriving right now settles when they have come, or after that. */
const MAX_ABORT_MS = 200;
const FIRST_DELAY_MS = 50;
const MAX_DELAY_MS = 2_000;

/**
 * Opens an export of an NBD server.
 *
 * @throws GodwitError CONNECTION_FAILED, NBD_PROTOCOL, NOT_FOUND, AUTHENTICATION_FAILED, CANCELED, UNSUPPORTED (writing
 *   asked for, the export is read-only)
 */
export async function openNbd(address: NbdAddress, options: NbdOptions = {}, signal?: AbortSignal): Promise<Disk> {
  const disk = new NbdDisk(address, options);
  await disk.connect(signal);
  return disk;
}

/**
 * An NBD export as a {@link Disk}.
 *
 * **Lost connections.** The server is called again with growing delays; open reads, writes, zeroes and status requests
 * are sent again. What a server acknowledged but had not flushed may be gone with it, so when a connection is lost while
 * such writes exist, this and every later flush rejects with CONNECTION_FAILED (retryable): the caller opens the disk
 * anew and resumes from its checkpoint. A disk without unflushed writes survives the loss unnoticed.
 *
 * **Aborted requests.** They settle at once (a read whose bytes are just arriving: with them); their reply is awaited in the background and dropped. An aborted write may
 * still happen until then, so requests that overlap it, and flushes, wait for it.
 */
class NbdDisk implements Disk, ConnectionOwner {
  readonly maxInFlight = 64;
  readonly readOnly: boolean;
  readonly #address: NbdAddress;
  readonly #label: string;
  readonly #connectTimeoutMs: number;
  readonly #stallTimeoutMs: number;
  readonly #reconnectForMs: number;
  readonly #zeroFlags: number;
  readonly #aborts = new AbortWatch<NbdRequest>((request) => this.#abandon(request));
  readonly #closing = new AbortController();
  #info: NbdExport | null = null;
  #connections: NbdConnection[] = [];
  #maxConnections = 1;
  #growing = false;
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
  /** Ends of the chain of requests that read, change and write whole blocks. */
  #partialWrites: Promise<unknown> = Promise.resolve();

  constructor(address: NbdAddress, options: NbdOptions) {
    this.#address = address;
    this.readOnly = address.readOnly;
    this.#label = options.label ?? addressLabel(address);
    this.#connectTimeoutMs = options.connectTimeoutMs ?? 10_000;
    this.#stallTimeoutMs = options.stallTimeoutMs ?? 60_000;
    this.#reconnectForMs = options.reconnectForMs ?? 30_000;
    this.#zeroFlags = options.zeroing === 'allocate' ? wire.CMD_FLAG_NO_HOLE : 0;
  }

  get size(): number {
    return this.#export.size;
  }

  get sparse(): boolean {
    return this.#export.contexts.has('base:allocation');
  }

  get #export(): NbdExport {
    if (this.#info === null) throw new Error('not connected');
    return this.#info;
  }

  async connect(signal?: AbortSignal): Promise<void> {
    const connection = await this.#call(signal);
    const { flags } = connection.info;
    if (!this.readOnly && (flags & wire.FLAG_READ_ONLY) !== 0) {
      connection.close();
      throw new GodwitError('UNSUPPORTED', this.#label, { what: 'writing (the export is read-only)' });
    }
    this.#info = connection.info;
    if ((flags & wire.FLAG_CAN_MULTI_CONN) !== 0) this.#maxConnections = this.#address.connections ?? 4;
    this.#connections.push(connection);
  }

  async read(offset: number, into: Uint8Array, signal?: AbortSignal): Promise<void> {
    const length = into.byteLength;
    checkRange(this.size, offset, length);
    const { minBlock, maxPayload } = this.#export;
    if (this.#abandoned.size > 0) await this.#awaitAbandoned(offset, length, signal);
    if (offset % minBlock !== 0 || length % minBlock !== 0) {
      const outer = roundOut(offset, length, minBlock);
      const whole = new Uint8Array(outer.length);
      await this.read(outer.offset, whole, signal);
      into.set(whole.subarray(offset - outer.offset, offset - outer.offset + length));
    } else if (length <= maxPayload) {
      if (length > 0) await this.#issue(wire.CMD_READ, 0, offset, length, null, into, null, signal);
    } else {
      await inParts(offset, length, maxPayload, PARTS_IN_FLIGHT, (at, part) =>
        this.#issue(wire.CMD_READ, 0, at, part, null, into.subarray(at - offset, at - offset + part), null, signal),
      );
    }
  }

  async write(offset: number, from: Uint8Array, signal?: AbortSignal): Promise<void> {
    const length = from.byteLength;
    checkRange(this.size, offset, length);
    this.#refuseWhenReadOnly(offset);
    const { minBlock, maxPayload } = this.#export;
    if (this.#abandoned.size > 0) await this.#awaitAbandoned(offset, length, signal);
    if (offset % minBlock !== 0 || length % minBlock !== 0) {
      await this.#writePartialBlocks(offset, from, signal);
    } else if (length <= maxPayload) {
      if (length > 0) await this.#issue(wire.CMD_WRITE, 0, offset, length, from, null, null, signal);
    } else {
      await inParts(offset, length, maxPayload, PARTS_IN_FLIGHT, (at, part) =>
        this.#issue(wire.CMD_WRITE, 0, at, part, from.subarray(at - offset, at - offset + part), null, null, signal),
      );
    }
  }

  async zero(offset: number, length: number, signal?: AbortSignal): Promise<void> {
    checkRange(this.size, offset, length);
    this.#refuseWhenReadOnly(offset);
    const { minBlock, maxPayload, flags } = this.#export;
    if (this.#abandoned.size > 0) await this.#awaitAbandoned(offset, length, signal);
    const inner = roundIn(offset, length, minBlock);
    if (inner.length < length) {
      if (inner.length <= 0) return this.#writePartialBlocks(offset, new Uint8Array(length), signal);
      const head = inner.offset - offset;
      const tail = length - head - inner.length;
      if (head > 0) await this.#writePartialBlocks(offset, new Uint8Array(head), signal);
      if (tail > 0) await this.#writePartialBlocks(offset + length - tail, new Uint8Array(tail), signal);
      return this.zero(inner.offset, inner.length, signal);
    }
    if ((flags & wire.FLAG_SEND_WRITE_ZEROES) !== 0) {
      await inParts(offset, length, ZERO_PART, PARTS_IN_FLIGHT, (at, part) =>
        this.#issue(wire.CMD_WRITE_ZEROES, this.#zeroFlags, at, part, null, null, null, signal),
      );
      return;
    }
    const zeroes = new Uint8Array(Math.min(length, maxPayload, 1_048_576));
    await inParts(offset, length, zeroes.length, PARTS_IN_FLIGHT, (at, part) =>
      this.#issue(wire.CMD_WRITE, 0, at, part, zeroes.subarray(0, part), null, null, signal),
    );
  }

  async flush(signal?: AbortSignal): Promise<void> {
    if (this.readOnly) return;
    while (this.#abandoned.size > 0) await this.#awaitAbandoned(0, this.size, signal);
    if (this.#doubtful) throw this.#doubt();
    const covered = this.#acknowledged;
    if ((this.#export.flags & wire.FLAG_SEND_FLUSH) === 0) {
      if (covered === this.#durable) return;
      throw new GodwitError('UNSUPPORTED', this.#label, { what: 'flushing' });
    }
    await this.#issue(wire.CMD_FLUSH, 0, 0, 0, null, null, null, signal);
    if (this.#doubtful) throw this.#doubt();
    this.#durable = Math.max(this.#durable, covered);
  }

  async extents(offset: number, length: number, signal?: AbortSignal): Promise<Extent[]> {
    checkRange(this.size, offset, length);
    if (!this.sparse) return length === 0 ? [] : [{ offset, length, kind: 'data' }];
    return (await this.#status('base:allocation', offset, length, extentKind, signal)).take();
  }

  async changed(offset: number, length: number, signal?: AbortSignal): Promise<Range[] | null> {
    checkRange(this.size, offset, length);
    const context = this.#address.changedContext;
    if (context === undefined || !this.#export.contexts.has(context)) return null;
    return changedRanges((await this.#status(context, offset, length, dirtyKind, signal)).take());
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    this.#die(new GodwitError('CANCELED', this.#label));
  }

  finished(request: NbdRequest, connection: NbdConnection): void {
    if (request.abandoned) {
      this.#drained(request);
      request.settle(new GodwitError('CANCELED', this.#label));
    } else if (request.errno === wire.ESHUTDOWN) {
      const error = new GodwitError('CONNECTION_FAILED', this.#label, { reason: 'the server is shutting down' });
      this.#sendAgain(request, error);
      connection.close();
    } else if (request.errno !== 0) {
      request.settle(replyError(this.#label, request));
    } else {
      if (request.command === wire.CMD_WRITE || request.command === wire.CMD_WRITE_ZEROES) this.#acknowledged++;
      request.settle(null);
    }
  }

  lost(connection: NbdConnection, error: Error, open: NbdRequest[]): void {
    this.#connections = this.#connections.filter((other) => other !== connection);
    const failure = GodwitError.wrap(error, 'CONNECTION_FAILED', this.#label);
    if (this.#acknowledged > this.#durable) this.#doubtful = true;
    for (const request of open) {
      if (request.abandoned) {
        this.#drained(request);
        request.settle(new GodwitError('CANCELED', this.#label));
      } else if (this.#dead) request.settle(this.#dead);
      else if (request.command === wire.CMD_FLUSH && this.#doubtful) request.settle(this.#doubt(failure));
      else this.#sendAgain(request, failure);
    }
    if (failure.code === 'NBD_PROTOCOL') this.#die(failure);
    else if (this.#waiting.length > 0) this.#revive();
  }

  #refuseWhenReadOnly(offset: number): void {
    if (!this.readOnly) return;
    throw new GodwitError('DISK_WRITE_FAILED', this.#label, { offset, reason: 'it was opened read-only' });
  }

  #doubt(cause?: Error): GodwitError {
    const reason = 'the connection was lost after writes that were not yet flushed; resume from the last checkpoint';
    return new GodwitError('CONNECTION_FAILED', this.#label, { reason }, cause === undefined ? undefined : { cause });
  }

  /** One request until its reply; resolves with the block status descriptors, if any. */
  #issue(
    command: number,
    flags: number,
    offset: number,
    length: number,
    payload: Uint8Array | null,
    into: Uint8Array | null,
    contextName: string | null,
    signal: AbortSignal | undefined,
  ): Promise<number[] | null> {
    if (this.#dead) return Promise.reject(this.#dead);
    if (signal?.aborted) return Promise.reject(new GodwitError('CANCELED', this.#label, {}, { cause: signal.reason }));
    return new Promise((resolve, reject) => {
      const request: NbdRequest = {
        command,
        flags,
        offset,
        length,
        payload,
        into,
        chunks: 0,
        filled: 0,
        scattered: null,
        contextName,
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

  #dispatch(request: NbdRequest): void {
    let best: NbdConnection | undefined;
    for (const connection of this.#connections) {
      if (best === undefined || connection.open < best.open) best = connection;
      if (best.open < CONNECTION_SHARE) break;
    }
    if (best === undefined) {
      this.#waiting.push(request);
      this.#revive();
      return;
    }
    if (best.open >= CONNECTION_SHARE && this.#connections.length < this.#maxConnections) this.#grow();
    best.submit(request);
  }

  async #status(
    context: string,
    offset: number,
    length: number,
    kindOf: typeof extentKind,
    signal: AbortSignal | undefined,
  ): Promise<ExtentCollector> {
    const outer = roundOut(offset, length, this.#export.minBlock);
    const end = outer.offset + outer.length;
    const collector = new ExtentCollector(offset, length, outer.offset);
    while (!collector.complete) {
      const at = collector.next;
      const part = Math.min(end - at, STATUS_PART);
      const descriptors = await this.#issue(wire.CMD_BLOCK_STATUS, 0, at, part, null, null, context, signal);
      if (descriptors === null) {
        throw new GodwitError('NBD_PROTOCOL', this.#label, { reason: `a block status without ${context}` });
      }
      collector.add(descriptors, kindOf);
    }
    return collector;
  }

  /** Reads, changes and writes whole blocks, one call at a time: two halves of a block must not overtake each other. */
  #writePartialBlocks(offset: number, from: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    const turn = this.#partialWrites.then(async () => {
      const outer = roundOut(offset, from.byteLength, this.#export.minBlock);
      const whole = new Uint8Array(outer.length);
      await this.read(outer.offset, whole, signal);
      whole.set(from, offset - outer.offset);
      await this.write(outer.offset, whole, signal);
    });
    this.#partialWrites = turn.catch(() => undefined);
    return turn;
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
          request.settle(new GodwitError('CANCELED', this.#label));
        }, MAX_ABORT_MS).unref();
        return;
      }
    }
    request.settle(new GodwitError('CANCELED', this.#label));
  }

  #drained(request: NbdRequest): void {
    if (!this.#abandoned.delete(request)) return;
    const waiting = this.#onDrained;
    this.#onDrained = [];
    for (const wake of waiting) wake();
  }

  async #awaitAbandoned(offset: number, length: number, signal: AbortSignal | undefined): Promise<void> {
    const overlaps = () =>
      [...this.#abandoned].some((other) => other.offset < offset + length && offset < other.offset + other.length);
    while (overlaps() && !this.#dead) {
      await new Promise<void>((resolve, reject) => {
        const onAbort = () => reject(new GodwitError('CANCELED', this.#label));
        signal?.addEventListener('abort', onAbort, { once: true });
        this.#onDrained.push(() => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        });
        if (signal?.aborted) onAbort();
      });
    }
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
      label: this.#label,
      connectTimeoutMs: this.#connectTimeoutMs,
      stallTimeoutMs: this.#stallTimeoutMs,
    };
    const connection = await connectNbd(this.#address, this, options, signal);
    const was = this.#info?.size ?? connection.info.size;
    const is = connection.info.size;
    if (is === was) return connection;
    connection.close();
    throw new GodwitError(is < was ? 'DISK_SHRANK' : 'DISK_GREW', this.#label, { was, is });
  }

  /** Opens one more connection beside the present ones; when that fails it stays at those. */
  #grow(): void {
    if (this.#growing) return;
    this.#growing = true;
    this.#call(this.#closing.signal)
      .then(
        (connection) => this.#connections.push(connection),
        () => {
          this.#maxConnections = Math.max(1, this.#connections.length);
        },
      )
      .finally(() => {
        this.#growing = false;
      });
  }

  /** Calls the server until it answers, then sends what waits. */
  #revive(): void {
    if (this.#reviving || this.#dead) return;
    this.#reviving = true;
    this.#reconnect().then(
      (connection) => {
        this.#reviving = false;
        this.#connections.push(connection);
        const waiting = this.#waiting;
        this.#waiting = [];
        for (const request of waiting) this.#dispatch(request);
      },
      (error) => {
        this.#reviving = false;
        this.#die(GodwitError.wrap(error, 'CONNECTION_FAILED', this.#label));
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

function roundOut(offset: number, length: number, block: number): Range {
  const start = offset - (offset % block);
  const end = Math.ceil((offset + length) / block) * block;
  return { offset: start, length: end - start };
}

function roundIn(offset: number, length: number, block: number): Range {
  const start = Math.ceil(offset / block) * block;
  const end = offset + length - ((offset + length) % block);
  return { offset: start, length: end - start };
}
