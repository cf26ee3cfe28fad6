import type { Duplex } from 'node:stream';
import { LEAF_BYTES } from '@godwit/disk/minion/agent-wire';
import * as wire from '@godwit/disk/minion/nbd-wire';
import type { ByteReader } from './byte-reader.ts';
import type { Device } from './device.ts';
import { Gate, type Slots } from './slots.ts';

/** Buffers that one connection may hold: one that takes no answers must not starve the others. */
const SLOTS_PER_CONNECTION = 16;
/** Requests without a buffer (flush, zeroes) that one connection may have open. */
const OPEN_REQUESTS = 128;
/** Pieces looked at at once when zeroes are asked for; with one of zeroes, a slot is cut into 4. */
const ZEROES_AT_ONCE = 3;

const EPERM = 1;
const EINVAL = 22;
const zeroLeaf = Buffer.alloc(LEAF_BYTES);

interface Request {
  command: number;
  flags: number;
  cookie: Buffer;
  offset: number;
  length: number;
}

/** The transmission phase of one connection: requests are carried out side by side, answers come as they are ready. */
export class Transmission {
  readonly #stream: Duplex;
  readonly #reader: ByteReader;
  readonly #device: Device;
  readonly #slots: Slots;
  readonly #structured: boolean;
  readonly #slotGate = new Gate(SLOTS_PER_CONNECTION);
  readonly #openGate = new Gate(OPEN_REQUESTS);
  readonly #running = new Set<Promise<void>>();

  constructor(stream: Duplex, reader: ByteReader, device: Device, slots: Slots, structured: boolean) {
    this.#stream = stream;
    this.#reader = reader;
    this.#device = device;
    this.#slots = slots;
    this.#structured = structured;
  }

  /** Until the other side says goodbye, is gone or breaks the protocol. */
  async run(): Promise<void> {
    try {
      for (;;) {
        const request = decode(await this.#reader.take(wire.REQUEST_SIZE));
        if (request === null || request.command === wire.CMD_DISCONNECT) break;
        await this.#begin(request);
      }
    } finally {
      await Promise.all(this.#running);
    }
  }

  async #begin(request: Request): Promise<void> {
    const payload = request.command === wire.CMD_WRITE ? request.length : 0;
    if (payload > this.#slots.size) throw new Error('a write that is larger than agreed');
    const refusal = this.#refusal(request);
    const withSlot = request.command === wire.CMD_WRITE || (request.command === wire.CMD_READ && refusal === 0);
    if (!withSlot) {
      await this.#openGate.enter();
      this.#track(this.#runPlain(request, refusal).finally(() => this.#openGate.leave()));
      return;
    }
    await this.#slotGate.enter();
    const slot = await this.#slots.take();
    const release = () => {
      this.#slots.give(slot);
      this.#slotGate.leave();
    };
    try {
      await this.#reader.fill(slot.subarray(0, payload));
    } catch (error) {
      release();
      throw error;
    }
    const work =
      request.command === wire.CMD_READ ? this.#runRead(request, slot) : this.#runWrite(request, slot, refusal);
    this.#track(work.finally(release));
  }

  #track(work: Promise<void>): void {
    // A failure to answer shows as the end of the connection.
    const settled = work.catch(() => undefined).then(() => void this.#running.delete(settled));
    this.#running.add(settled);
  }

  /** Error number for a request that cannot be; 0: it can. */
  #refusal({ command, offset, length }: Request): number {
    const { size, block, readOnly } = this.#device;
    if (command === wire.CMD_FLUSH) return 0;
    const known = command === wire.CMD_READ || command === wire.CMD_WRITE || command === wire.CMD_WRITE_ZEROES;
    if (!known || length === 0 || offset % block !== 0 || length % block !== 0) return EINVAL;
    if (command !== wire.CMD_READ && readOnly) return EPERM;
    if (command === wire.CMD_READ && length > this.#slots.size) return EINVAL;
    return offset + length > size ? (command === wire.CMD_READ ? EINVAL : wire.ENOSPC) : 0;
  }

  async #runRead(request: Request, slot: Buffer): Promise<void> {
    const bytes = slot.subarray(0, request.length);
    try {
      await this.#device.read(request.offset, bytes);
    } catch (error) {
      await this.#fail(request, error);
      return;
    }
    if (!this.#structured) {
      await this.#send([simpleReply(request.cookie, 0), bytes]);
      return;
    }
    const parts: Buffer[] = [];
    for (let at = 0; at < bytes.length; ) {
      const zero = isZero(bytes, at);
      let end = at;
      while (end < bytes.length && isZero(bytes, end) === zero) end = Math.min(end + LEAF_BYTES, bytes.length);
      const type = zero ? wire.REPLY_OFFSET_HOLE : wire.REPLY_OFFSET_DATA;
      const head = chunkHead(request.cookie, type, zero ? 12 : 8 + end - at, zero ? 12 : 8, end === bytes.length);
      wire.writeUint64(head, request.offset + at, wire.STRUCTURED_REPLY_SIZE);
      if (zero) head.writeUInt32BE(end - at, wire.STRUCTURED_REPLY_SIZE + 8);
      parts.push(head);
      if (!zero) parts.push(bytes.subarray(at, end));
      at = end;
    }
    await this.#send(parts);
  }

  async #runWrite(request: Request, slot: Buffer, refusal: number): Promise<void> {
    await this.#answer(request, refusal, () => this.#device.write(request.offset, slot.subarray(0, request.length)));
  }

  async #runPlain(request: Request, refusal: number): Promise<void> {
    await this.#answer(request, refusal, () =>
      request.command === wire.CMD_FLUSH ? this.#device.flush() : this.#zero(request.offset, request.length),
    );
  }

  /**
   * Node can neither punch holes nor have the kernel write zeroes; zeroes from memory are as good and do not travel. What
   * reads as zeroes already is left alone: thin volumes stay thin.
   */
  async #zero(offset: number, length: number): Promise<void> {
    const slot = await this.#slots.take();
    try {
      const room = slot.length / (ZEROES_AT_ONCE + 1);
      const zeroes = slot.subarray(0, room).fill(0);
      let next = offset;
      const clearSome = async (_: unknown, index: number) => {
        const seen = slot.subarray((index + 1) * room, (index + 2) * room);
        while (next < offset + length) {
          const at = next;
          const part = Math.min(room, offset + length - at);
          next += part;
          await this.#device.read(at, seen.subarray(0, part));
          if (!seen.subarray(0, part).equals(zeroes.subarray(0, part))) {
            await this.#device.write(at, zeroes.subarray(0, part));
          }
        }
      };
      // All end before the slot is another's.
      const ended = await Promise.allSettled(Array.from({ length: ZEROES_AT_ONCE }, clearSome));
      const failed = ended.find((one) => one.status === 'rejected');
      if (failed) throw failed.reason;
    } finally {
      this.#slots.give(slot);
    }
  }

  async #answer(request: Request, refusal: number, work: () => Promise<void>): Promise<void> {
    if (refusal !== 0) {
      await this.#send([this.#errorReply(request, refusal, '')]);
      return;
    }
    try {
      await work();
    } catch (error) {
      await this.#fail(request, error);
      return;
    }
    const done = this.#structured
      ? chunkHead(request.cookie, wire.REPLY_NONE, 0, 0, true)
      : simpleReply(request.cookie, 0);
    await this.#send([done]);
  }

  #fail(request: Request, error: unknown): Promise<void> {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const full = code === 'ENOSPC' || code === 'EDQUOT';
    const text = error instanceof Error ? error.message : String(error);
    return this.#send([this.#errorReply(request, full ? wire.ENOSPC : wire.EIO, text)]);
  }

  #errorReply(request: Request, errno: number, text: string): Buffer {
    if (!this.#structured) return simpleReply(request.cookie, errno);
    const message = Buffer.from(text.slice(0, 200), 'utf8');
    const head = chunkHead(request.cookie, wire.REPLY_ERROR, 6 + message.length, 6, true);
    head.writeUInt32BE(errno, wire.STRUCTURED_REPLY_SIZE);
    head.writeUInt16BE(message.length, wire.STRUCTURED_REPLY_SIZE + 4);
    return Buffer.concat([head, message]);
  }

  /** Resolves when the buffers are free again. */
  #send(parts: Buffer[]): Promise<void> {
    return new Promise((resolve) => {
      if (this.#stream.destroyed) {
        resolve();
        return;
      }
      this.#stream.cork();
      parts.forEach((part, index) => {
        this.#stream.write(part, index === parts.length - 1 ? () => resolve() : undefined);
      });
      this.#stream.uncork();
    });
  }
}

function decode(head: Buffer): Request | null {
  if (head.readUInt32BE(0) !== wire.REQUEST_MAGIC) return null;
  return {
    flags: head.readUInt16BE(4),
    command: head.readUInt16BE(6),
    cookie: Buffer.from(head.subarray(8, 16)),
    offset: wire.readUint64(head, 16),
    length: head.readUInt32BE(24),
  };
}

function simpleReply(cookie: Buffer, errno: number): Buffer {
  const head = Buffer.allocUnsafe(wire.SIMPLE_REPLY_SIZE);
  head.writeUInt32BE(wire.SIMPLE_REPLY_MAGIC, 0);
  head.writeUInt32BE(errno, 4);
  head.set(cookie, 8);
  return head;
}

/** @param room bytes of the payload that the header's buffer has room for */
function chunkHead(cookie: Buffer, type: number, length: number, room: number, done: boolean): Buffer {
  const head = Buffer.allocUnsafe(wire.STRUCTURED_REPLY_SIZE + room);
  head.writeUInt32BE(wire.STRUCTURED_REPLY_MAGIC, 0);
  head.writeUInt16BE(done ? wire.REPLY_FLAG_DONE : 0, 4);
  head.writeUInt16BE(type, 6);
  head.set(cookie, 8);
  head.writeUInt32BE(length, 16);
  return head;
}

/** Whether the 64 KiB from `at`, or what is left of them, are zero. */
function isZero(bytes: Buffer, at: number): boolean {
  const piece = bytes.subarray(at, at + LEAF_BYTES);
  return piece.equals(piece.length === LEAF_BYTES ? zeroLeaf : zeroLeaf.subarray(0, piece.length));
}
