import { cover, covered, type NbdRequest } from './nbd-request.ts';
import type { ByteReceiver } from './nbd-stream.ts';
import * as wire from './nbd-wire.ts';

/** Where the parser finds requests and reports their end. */
export interface ReplySink {
  /** The request of a cookie, or undefined when there is none. */
  find(turn: number, slot: number): NbdRequest | undefined;
  /** The last chunk of the reply came; `request.errno` tells how it went. */
  finished(slot: number, request: NbdRequest): void;
  /** Meta context id of this connection, undefined when not negotiated. */
  contextId(name: string): number | undefined;
}

/** The server broke the protocol; the message says how. */
export class ReplyError extends Error {}

type State = 'header' | 'data-offset' | 'data' | 'small';

/** Block status chunks and errors are gathered whole; servers send at most 8 MiB + 4. */
const MAX_SMALL = 16_777_216;
/** Chunks of one reply at most, and as many more as the request has sectors. */
const MAX_CHUNKS = 64;
const NOTHING = Buffer.alloc(0);
/** Payload still to come that is worth a read of its own; less comes along with the next header. */
const MIN_PLACE = 16_384;

/**
 * Reads the server's side of the transmission phase, cut anywhere. Most of a read's payload is received straight into
 * the caller's buffer ({@link place}); what comes along with headers is copied there. Everything else is gathered in
 * small buffers of bounded size.
 *
 * - `header`: 16 bytes, or 20 once the magic says structured
 * - `data-offset`: the 8 bytes before a data chunk's payload
 * - `data`: payload of a read, `#left` bytes to come
 * - `small`: payload of any other chunk, `#small` being filled
 */
export class NbdReplyParser implements ByteReceiver {
  readonly #sink: ReplySink;
  readonly #structured: boolean;
  #state: State = 'header';
  readonly #head = Buffer.alloc(wire.STRUCTURED_REPLY_SIZE);
  #headFill = 0;
  #request: NbdRequest | null = null;
  #slot = 0;
  #done = false;
  #type = 0;
  /** Bytes of the chunk's payload still to come. */
  #left = 0;
  /** Where in the request's buffer the next payload byte goes. */
  #at = 0;
  #small = NOTHING;
  #smallFill = 0;
  /** The request into whose buffer the socket receives next. */
  #filling: NbdRequest | null = null;

  constructor(sink: ReplySink, structured: boolean) {
    this.#sink = sink;
    this.#structured = structured;
  }

  /** True when the stream stands inside a reply. */
  get midReply(): boolean {
    return this.#state !== 'header' || this.#headFill > 0;
  }

  place(): Buffer | null {
    this.#filling = null;
    if (this.#state !== 'data' || this.#left < MIN_PLACE) return null;
    const request = this.#current();
    if (request.into === null) return null;
    this.#filling = request;
    return Buffer.from(request.into.buffer, request.into.byteOffset + this.#at, this.#left);
  }

  placed(length: number): void {
    this.#filling = null;
    this.#at += length;
    this.#left -= length;
    if (this.#left === 0) this.#endChunk();
  }

  /** True while the socket may write into the request's buffer at any moment. */
  isFilling(request: NbdRequest): boolean {
    return this.#filling === request;
  }

  /**
   * Takes the next `length` bytes of the stream.
   *
   * @throws ReplyError when they make no sense; the stream is lost then
   */
  feed(chunk: Buffer, length: number): void {
    let at = 0;
    while (at < length) {
      switch (this.#state) {
        case 'header':
          at = this.#takeHeader(chunk, at, length);
          break;
        case 'data-offset':
          at = this.#gather(chunk, at, length, 8);
          if (this.#headFill === 8) {
            this.#headFill = 0;
            this.#startData(wire.readUint64(this.#head, 0) - this.#current().offset);
          }
          break;
        case 'data':
          at = this.#takeData(chunk, at, length);
          break;
        case 'small': {
          const end = Math.min(length, at + this.#small.length - this.#smallFill);
          this.#smallFill += chunk.copy(this.#small, this.#smallFill, at, end);
          at = end;
          if (this.#smallFill === this.#small.length) this.#endSmall();
          break;
        }
      }
    }
  }

  /** Copies into the header buffer until it holds `want` bytes. */
  #gather(chunk: Buffer, at: number, length: number, want: number): number {
    const end = Math.min(length, at + want - this.#headFill);
    this.#headFill += chunk.copy(this.#head, this.#headFill, at, end);
    return end;
  }

  #takeHeader(chunk: Buffer, start: number, length: number): number {
    let at = start;
    if (this.#headFill < 4) {
      at = this.#gather(chunk, at, length, 4);
      if (this.#headFill < 4) return at;
    }
    const head = this.#head;
    const magic = head.readUInt32BE(0);
    if (magic === wire.STRUCTURED_REPLY_MAGIC && this.#structured) {
      at = this.#gather(chunk, at, length, wire.STRUCTURED_REPLY_SIZE);
      if (this.#headFill === wire.STRUCTURED_REPLY_SIZE) {
        this.#headFill = 0;
        this.#startChunk(head.readUInt16BE(4), head.readUInt16BE(6), head.readUInt32BE(16));
      }
    } else if (magic === wire.SIMPLE_REPLY_MAGIC) {
      at = this.#gather(chunk, at, length, wire.SIMPLE_REPLY_SIZE);
      if (this.#headFill === wire.SIMPLE_REPLY_SIZE) {
        this.#headFill = 0;
        this.#startSimple(head.readUInt32BE(4));
      }
    } else {
      throw new ReplyError(`a reply starts with 0x${magic.toString(16)}`);
    }
    return at;
  }

  #find(): NbdRequest {
    const turn = this.#head.readUInt32BE(8);
    const slot = this.#head.readUInt32BE(12);
    const request = this.#sink.find(turn, slot);
    if (request === undefined) throw new ReplyError(`a reply to a request that was never sent (${turn}:${slot})`);
    this.#slot = slot;
    this.#request = request;
    return request;
  }

  #current(): NbdRequest {
    if (this.#request === null) throw new ReplyError('payload without a request');
    return this.#request;
  }

  #startSimple(errno: number): void {
    const request = this.#find();
    this.#done = true;
    if (request.filled > 0 || request.scattered !== null || request.descriptors !== null) {
      throw new ReplyError('a simple reply within a structured one');
    }
    if (errno !== 0) {
      request.errno = errno;
      this.#endChunk();
    } else if (request.command === wire.CMD_READ) {
      if (this.#structured) throw new ReplyError('a simple reply to a read although structured replies were agreed');
      this.#left = request.length;
      this.#startData(0);
    } else {
      this.#endChunk();
    }
  }

  #startChunk(flags: number, type: number, length: number): void {
    const request = this.#find();
    this.#done = (flags & wire.REPLY_FLAG_DONE) !== 0;
    if (++request.chunks > MAX_CHUNKS + request.length / 512) throw new ReplyError('a reply without end');
    this.#type = type;
    this.#left = length;
    if (type === wire.REPLY_OFFSET_DATA) {
      if (request.command !== wire.CMD_READ) throw new ReplyError('data in the reply to another command than read');
      if (length <= 8 || length - 8 > request.length) throw new ReplyError(`a data chunk of ${length} bytes`);
      this.#left = length - 8;
      this.#state = 'data-offset';
    } else if (length === 0) {
      this.#small = NOTHING;
      this.#endSmall();
    } else if (length > MAX_SMALL || (type !== wire.REPLY_BLOCK_STATUS && length > 65_536)) {
      throw new ReplyError(`a reply chunk of type ${type} with ${length} bytes`);
    } else {
      // A block status chunk may claim megabytes: pages that never arrive are never touched.
      this.#small = Buffer.allocUnsafeSlow(length);
      this.#smallFill = 0;
      this.#state = 'small';
    }
  }

  #startData(at: number): void {
    const request = this.#current();
    if (!cover(request, at, this.#left)) throw new ReplyError('a data chunk outside its request, or sent twice');
    this.#at = at;
    this.#state = 'data';
    if (this.#left === 0) this.#endChunk();
  }

  #takeData(chunk: Buffer, at: number, length: number): number {
    const end = Math.min(length, at + this.#left);
    const into = this.#current().into;
    if (into !== null) into.set(chunk.subarray(at, end), this.#at);
    this.#at += end - at;
    this.#left -= end - at;
    if (this.#left === 0) this.#endChunk();
    return end;
  }

  #endSmall(): void {
    const request = this.#current();
    const payload = this.#small;
    this.#small = NOTHING;
    switch (this.#type) {
      case wire.REPLY_NONE:
        if (payload.length !== 0 || !this.#done) throw new ReplyError('an empty chunk that does not end its reply');
        break;
      case wire.REPLY_OFFSET_HOLE: {
        if (request.command !== wire.CMD_READ || payload.length !== 12) throw new ReplyError('a malformed hole');
        const at = wire.readUint64(payload, 0) - request.offset;
        const length = payload.readUInt32BE(8);
        if (length === 0 || !cover(request, at, length)) throw new ReplyError('a hole outside its request, or twice');
        request.into?.fill(0, at, at + length);
        break;
      }
      case wire.REPLY_BLOCK_STATUS:
        takeStatus(request, payload, this.#sink);
        break;
      default:
        takeError(request, payload, this.#type);
    }
    this.#endChunk();
  }

  #endChunk(): void {
    const request = this.#current();
    this.#state = 'header';
    this.#request = null;
    if (!this.#done) return;
    if (request.errno === 0 && request.command === wire.CMD_READ && !covered(request)) {
      throw new ReplyError('a read reply that leaves bytes out');
    }
    this.#sink.finished(this.#slot, request);
  }
}

function takeStatus(request: NbdRequest, payload: Buffer, sink: ReplySink): void {
  if (request.command !== wire.CMD_BLOCK_STATUS || payload.length < 12 || payload.length % 8 !== 4) {
    throw new ReplyError('a malformed block status');
  }
  if (request.contextName === null || payload.readUInt32BE(0) !== sink.contextId(request.contextName)) return;
  if (request.descriptors !== null) throw new ReplyError('two block status chunks for one context');
  const descriptors: number[] = [];
  for (let at = 4; at < payload.length; at += 8) {
    const length = payload.readUInt32BE(at);
    if (length === 0) throw new ReplyError('a block status extent without length');
    descriptors.push(length, payload.readUInt32BE(at + 4));
  }
  request.descriptors = descriptors;
}

function takeError(request: NbdRequest, payload: Buffer, type: number): void {
  if ((type & 0x8000) === 0) throw new ReplyError(`a reply chunk of unknown type ${type}`);
  if (payload.length < 6) throw new ReplyError('a malformed error');
  const textLength = payload.readUInt16BE(4);
  if (6 + textLength > payload.length) throw new ReplyError('an error text longer than its chunk');
  const errno = payload.readUInt32BE(0);
  if (errno === 0) throw new ReplyError('an error chunk that says success');
  if (request.errno === 0) {
    request.errno = errno;
    request.errorText = payload.toString('utf8', 6, 6 + Math.min(textLength, 200)).replace(/[^\x20-\x7e]/g, '?');
  }
}
