/**
 * Numbers of the NBD protocol (https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md): fixed newstyle
 * negotiation, simple and structured replies.
 */

export const NBD_MAGIC = 0x4e42444d41474943n;
export const OPTION_MAGIC = 0x49484156454f5054n;
export const OPTION_REPLY_MAGIC = 0x0003e889045565a9n;

export const HANDSHAKE_FIXED_NEWSTYLE = 1;
export const HANDSHAKE_NO_ZEROES = 2;

export const OPT_EXPORT_NAME = 1;
export const OPT_STARTTLS = 5;
export const OPT_GO = 7;
export const OPT_STRUCTURED_REPLY = 8;
export const OPT_SET_META_CONTEXT = 10;

export const REP_ACK = 1;
export const REP_INFO = 3;
export const REP_META_CONTEXT = 4;
export const REP_ERR_UNSUP = 0x80000001;
export const REP_ERR_POLICY = 0x80000002;
export const REP_ERR_TLS_REQD = 0x80000005;
export const REP_ERR_UNKNOWN = 0x80000006;
export const REP_ERR_SHUTDOWN = 0x80000007;

export const INFO_EXPORT = 0;
export const INFO_BLOCK_SIZE = 3;

export const FLAG_READ_ONLY = 2;
export const FLAG_SEND_FLUSH = 4;
export const FLAG_SEND_WRITE_ZEROES = 64;
export const FLAG_CAN_MULTI_CONN = 256;

export const REQUEST_MAGIC = 0x25609513;
export const SIMPLE_REPLY_MAGIC = 0x67446698;
export const STRUCTURED_REPLY_MAGIC = 0x668e33ef;

/** Bytes of a request header. */
export const REQUEST_SIZE = 28;
/** Bytes of a simple reply header. */
export const SIMPLE_REPLY_SIZE = 16;
/** Bytes of a structured reply chunk header. */
export const STRUCTURED_REPLY_SIZE = 20;

export const CMD_READ = 0;
export const CMD_WRITE = 1;
export const CMD_DISCONNECT = 2;
export const CMD_FLUSH = 3;
export const CMD_WRITE_ZEROES = 6;
export const CMD_BLOCK_STATUS = 7;

/** WRITE_ZEROES: allocate, do not punch a hole. */
export const CMD_FLAG_NO_HOLE = 2;

export const REPLY_FLAG_DONE = 1;
export const REPLY_NONE = 0;
export const REPLY_OFFSET_DATA = 1;
export const REPLY_OFFSET_HOLE = 2;
export const REPLY_BLOCK_STATUS = 5;
export const REPLY_ERROR = 0x8001;
export const REPLY_ERROR_OFFSET = 0x8002;

/** base:allocation status bits. */
export const STATE_HOLE = 1;
export const STATE_ZERO = 2;
/** qemu:dirty-bitmap status bit. */
export const STATE_DIRTY = 1;

export const EIO = 5;
export const ENOSPC = 28;
export const ESHUTDOWN = 108;

/** Names of the error numbers that NBD defines. */
export const errnoNames: Readonly<Record<number, string>> = {
  1: 'EPERM',
  5: 'EIO',
  12: 'ENOMEM',
  22: 'EINVAL',
  28: 'ENOSPC',
  75: 'EOVERFLOW',
  95: 'ENOTSUP',
  108: 'ESHUTDOWN',
};

/** Bytes that a server without block size information must accept in one read or write. */
export const DEFAULT_MAX_PAYLOAD = 33_554_432;

/** Writes an unsigned 64-bit number below 2^53, big-endian. */
export function writeUint64(into: Buffer, value: number, at: number): void {
  into.writeUInt32BE(Math.floor(value / 0x1_0000_0000), at);
  into.writeUInt32BE(value >>> 0, at + 4);
}

/** Reads an unsigned 64-bit number; values of 2^53 and more come back inexact but still beyond any disk. */
export function readUint64(from: Buffer, at: number): number {
  return from.readUInt32BE(at) * 0x1_0000_0000 + from.readUInt32BE(at + 4);
}

/**
 * One request header. The cookie is `slot` with the `turn` of that slot above it, so that a late or invented reply
 * never matches the wrong request.
 */
export function encodeRequest(
  command: number,
  flags: number,
  turn: number,
  slot: number,
  offset: number,
  length: number,
): Buffer {
  const header = Buffer.allocUnsafe(REQUEST_SIZE);
  header.writeUInt32BE(REQUEST_MAGIC, 0);
  header.writeUInt16BE(flags, 4);
  header.writeUInt16BE(command, 6);
  header.writeUInt32BE(turn, 8);
  header.writeUInt32BE(slot, 12);
  writeUint64(header, offset, 16);
  header.writeUInt32BE(length, 24);
  return header;
}

/** One negotiation option with its data. */
export function encodeOption(option: number, data: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(16 + data.length);
  out.writeBigUInt64BE(OPTION_MAGIC, 0);
  out.writeUInt32BE(option, 8);
  out.writeUInt32BE(data.length, 12);
  out.set(data, 16);
  return out;
}

/** A string with its length before it, as options carry them. */
export function encodeString(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8');
  const out = Buffer.allocUnsafe(4 + bytes.length);
  out.writeUInt32BE(bytes.length, 0);
  out.set(bytes, 4);
  return out;
}
