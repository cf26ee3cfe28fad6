import { timingSafeEqual } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { OPT_LEAVES, OPT_SESSION, type SessionWish } from '@godwit/disk/minion/agent-wire';
import type { CompressionChoice } from '@godwit/disk/minion/compression-choice';
import { FramedStream } from '@godwit/disk/minion/framed-stream';
import * as wire from '@godwit/disk/minion/nbd-wire';
import { ByteReader } from './byte-reader.ts';
import type { Device } from './device.ts';
import { serveLeaves } from './leaf-service.ts';
import type { Slots } from './slots.ts';
import { Transmission } from './transmission.ts';

/** What connections share. */
export interface Service {
  /** What a connection must say first; null: nothing. */
  token: string | null;
  devices: ReadonlyMap<string, Device>;
  slots: Slots;
  /** All connections go over one link. */
  compression: CompressionChoice;
}

const OPT_ABORT = 2;
const OPT_LIST = 3;
const OPT_INFO = 6;
const REP_SERVER = 2;
const REP_ERR_INVALID = 0x80000003;
const FLAG_HAS_FLAGS = 1;
/** Bytes of an option at most: names and a token are all that comes. */
const MAX_OPTION = 4_096;
const LINGER_MS = 5_000;
/** Options of one negotiation at most. */
const MAX_OPTIONS = 64;

/** Negotiates and serves one connection until it ends. */
export async function serveConnection(stream: Duplex, service: Service): Promise<void> {
  stream.on('error', () => stream.destroy());
  try {
    await new Negotiation(stream, service).run();
  } catch {
    // Whatever went wrong, the other side learns of it by the end of the connection.
  } finally {
    // The last words of a refusal are still to leave; whoever does not take them gets no more.
    stream.end(() => stream.destroy());
    setTimeout(() => stream.destroy(), LINGER_MS).unref();
  }
}

/** Fixed newstyle negotiation, which ends in the transmission phase, the hash service or nothing. */
class Negotiation {
  readonly #service: Service;
  #stream: Duplex;
  #reader: ByteReader;
  #admitted: boolean;
  #structured = false;

  constructor(stream: Duplex, service: Service) {
    this.#stream = stream;
    this.#service = service;
    this.#reader = new ByteReader(stream);
    this.#admitted = service.token === null;
  }

  async run(): Promise<void> {
    const greeting = Buffer.alloc(18);
    greeting.writeBigUInt64BE(wire.NBD_MAGIC, 0);
    greeting.writeBigUInt64BE(wire.OPTION_MAGIC, 8);
    greeting.writeUInt16BE(wire.HANDSHAKE_FIXED_NEWSTYLE | wire.HANDSHAKE_NO_ZEROES, 16);
    this.#stream.write(greeting);
    const flags = (await this.#reader.take(4)).readUInt32BE(0);
    if ((flags & wire.HANDSHAKE_FIXED_NEWSTYLE) === 0) return;
    for (let n = 0; n < MAX_OPTIONS; n++) {
      const head = await this.#reader.take(16);
      const length = head.readUInt32BE(12);
      if (head.readBigUInt64BE(0) !== wire.OPTION_MAGIC || length > MAX_OPTION) return;
      const option = head.readUInt32BE(8);
      const data = Buffer.from(await this.#reader.take(length));
      if (option === OPT_ABORT) return this.#reply(option, wire.REP_ACK);
      if (!this.#admitted && option !== OPT_SESSION) return this.#reply(option, wire.REP_ERR_POLICY, 'no session');
      if (await this.#handle(option, data)) return;
    }
  }

  /** True when the connection is over. */
  async #handle(option: number, data: Buffer): Promise<boolean> {
    switch (option) {
      case OPT_SESSION:
        return this.#beginSession(data);
      case OPT_LEAVES: {
        const device = this.#service.devices.get(data.toString('utf8'));
        if (device === undefined) return this.#unknown(option);
        this.#reply(option, wire.REP_ACK);
        await serveLeaves(this.#stream, this.#reader, device, this.#service.slots);
        return true;
      }
      case OPT_LIST:
        for (const id of this.#service.devices.keys()) this.#reply(option, REP_SERVER, wire.encodeString(id));
        this.#reply(option, wire.REP_ACK);
        return false;
      case wire.OPT_STRUCTURED_REPLY:
        this.#structured = true;
        this.#reply(option, wire.REP_ACK);
        return false;
      case wire.OPT_SET_META_CONTEXT:
        // The kernel cannot tell what a block device holds: no context is offered.
        this.#reply(option, wire.REP_ACK);
        return false;
      case OPT_INFO:
      case wire.OPT_GO: {
        const bytes = data.length >= 6 ? data.readUInt32BE(0) : data.length;
        if (bytes + 6 > data.length) {
          this.#reply(option, REP_ERR_INVALID);
          return false;
        }
        const device = this.#service.devices.get(data.toString('utf8', 4, 4 + bytes));
        if (device === undefined) return this.#unknown(option);
        this.#describe(option, device);
        if (option === OPT_INFO) return false;
        await this.#transmit(device);
        return true;
      }
      case wire.OPT_EXPORT_NAME: {
        const device = this.#service.devices.get(data.toString('utf8'));
        if (device === undefined) return true;
        this.#stream.write(sizeAndFlags(device));
        await this.#transmit(device);
        return true;
      }
      default:
        this.#reply(option, wire.REP_ERR_UNSUP);
        return false;
    }
  }

  #beginSession(data: Buffer): boolean {
    const wish = JSON.parse(data.toString('utf8')) as Partial<SessionWish>;
    const { token } = this.#service;
    if (token !== null && !equal(String(wish.token), token)) {
      this.#reply(OPT_SESSION, wire.REP_ERR_POLICY, 'not the token of this agent');
      return true;
    }
    this.#admitted = true;
    this.#reply(OPT_SESSION, wire.REP_ACK);
    if (wish.compress === true) {
      const framed = new FramedStream(this.#stream, this.#service.compression, this.#reader.detach());
      framed.on('error', () => framed.destroy());
      this.#stream = framed;
      this.#reader = new ByteReader(framed);
    }
    return false;
  }

  #unknown(option: number): boolean {
    this.#reply(option, wire.REP_ERR_UNKNOWN, 'not a device of this agent');
    return false;
  }

  #describe(option: number, device: Device): void {
    const told = Buffer.alloc(12);
    told.writeUInt16BE(wire.INFO_EXPORT, 0);
    sizeAndFlags(device).copy(told, 2);
    this.#reply(option, wire.REP_INFO, told);
    const blocks = Buffer.alloc(14);
    blocks.writeUInt16BE(wire.INFO_BLOCK_SIZE, 0);
    blocks.writeUInt32BE(device.block, 2);
    blocks.writeUInt32BE(Math.max(4_096, device.block), 6);
    blocks.writeUInt32BE(this.#service.slots.size, 10);
    this.#reply(option, wire.REP_INFO, blocks);
    this.#reply(option, wire.REP_ACK);
  }

  #transmit(device: Device): Promise<void> {
    return new Transmission(this.#stream, this.#reader, device, this.#service.slots, this.#structured).run();
  }

  #reply(option: number, type: number, data: Buffer | string = ''): void {
    const bytes = Buffer.from(data as string);
    const head = Buffer.alloc(20);
    head.writeBigUInt64BE(wire.OPTION_REPLY_MAGIC, 0);
    head.writeUInt32BE(option, 8);
    head.writeUInt32BE(type, 12);
    head.writeUInt32BE(bytes.length, 16);
    this.#stream.write(Buffer.concat([head, bytes]));
  }
}

function sizeAndFlags(device: Device): Buffer {
  const told = Buffer.alloc(10);
  wire.writeUint64(told, device.size, 0);
  // All connections share one descriptor: what one flushes, all have written.
  const writing = device.readOnly ? wire.FLAG_READ_ONLY : wire.FLAG_SEND_FLUSH | wire.FLAG_SEND_WRITE_ZEROES;
  told.writeUInt16BE(FLAG_HAS_FLAGS | writing | wire.FLAG_CAN_MULTI_CONN, 8);
  return told;
}

function equal(told: string, token: string): boolean {
  const a = Buffer.from(told, 'utf8');
  const b = Buffer.from(token, 'utf8');
  return a.length === b.length && timingSafeEqual(a, b);
}
