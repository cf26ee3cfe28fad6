import { GodwitError } from '@godwit/domain';
import { OPT_LEAVES, OPT_SESSION } from './agent-wire.ts';
import * as wire from './nbd-wire.ts';

/** What the server told about the export. */
export interface NbdExport {
  /** Bytes. */
  size: number;
  /** Transmission flags (`FLAG_*`). */
  flags: number;
  /** Structured replies are in use. */
  structured: boolean;
  /** Ids of the negotiated meta contexts by name. */
  contexts: ReadonlyMap<string, number>;
  /** Alignment of every request, bytes; 1: none. */
  minBlock: number;
  /** Bytes of one read or write at most. */
  maxPayload: number;
  /** Time from an option to its reply, ms. */
  roundTripMs: number;
}

/** The two directions of a connection during negotiation. */
export interface HandshakeStream {
  /** Resolves with exactly that many bytes; rejects when the connection ends or the deadline passes. */
  take(bytes: number): Promise<Buffer>;
  send(bytes: Uint8Array): void;
  /** Goes on over TLS; present when TLS was asked for. */
  startTls?(): Promise<void>;
  /** An agent's session: what to tell it first, and what follows its consent. */
  session?: { wish: Uint8Array; begin(): void };
}

export interface HandshakeWish {
  /** Name for errors. */
  label: string;
  export: string;
  /** Meta contexts to ask for. */
  contexts: readonly string[];
  /** The connection is to hash leaves; nothing of the export is told then. */
  leaves?: boolean;
}

interface OptionReply {
  type: number;
  data: Buffer;
}

/** No reply of the options used here is larger; a longer one is hostile. */
const MAX_OPTION_REPLY = 65_536;
/** Replies to one option at most: there is one per meta context or information item. */
const MAX_REPLIES = 64;

/**
 * Negotiates an export: TLS when the stream offers it, then structured replies, meta contexts and GO in one round trip.
 *
 * @throws GodwitError NBD_PROTOCOL, NOT_FOUND (no such export), AUTHENTICATION_FAILED (TLS or policy), CONNECTION_FAILED
 */
export async function negotiate(stream: HandshakeStream, wish: HandshakeWish): Promise<NbdExport> {
  const fail = (reason: string) => new GodwitError('NBD_PROTOCOL', wish.label, { reason });
  const greeting = await stream.take(18);
  if (greeting.readBigUInt64BE(0) !== wire.NBD_MAGIC) throw fail('the server does not greet as an NBD server');
  if (greeting.readBigUInt64BE(8) !== wire.OPTION_MAGIC) throw fail('the server only speaks the oldstyle protocol');
  const serverFlags = greeting.readUInt16BE(16);
  const noZeroes = (serverFlags & wire.HANDSHAKE_NO_ZEROES) !== 0;
  const clientFlags = Buffer.alloc(4);
  clientFlags.writeUInt32BE(serverFlags & (wire.HANDSHAKE_FIXED_NEWSTYLE | wire.HANDSHAKE_NO_ZEROES), 0);

  if ((serverFlags & wire.HANDSHAKE_FIXED_NEWSTYLE) === 0) {
    if (stream.startTls) throw new GodwitError('AUTHENTICATION_FAILED', wish.label, { reason: 'it offers no TLS' });
    return exportByName(stream, wish, clientFlags, noZeroes);
  }
  const answer = (option: number) => takeReply(stream, wish, option);

  let opening = clientFlags;
  if (stream.startTls) {
    stream.send(Buffer.concat([opening, wire.encodeOption(wire.OPT_STARTTLS, Buffer.alloc(0))]));
    const reply = await answer(wire.OPT_STARTTLS);
    if (reply.type !== wire.REP_ACK) throw optionRefused(wish, 'STARTTLS', reply);
    await stream.startTls();
    opening = Buffer.alloc(0);
  }
  if (stream.session) {
    stream.send(Buffer.concat([opening, wire.encodeOption(OPT_SESSION, stream.session.wish)]));
    const reply = await answer(OPT_SESSION);
    if (reply.type !== wire.REP_ACK) throw optionRefused(wish, 'the session', reply);
    stream.session.begin();
    opening = Buffer.alloc(0);
  }
  if (wish.leaves) {
    stream.send(Buffer.concat([opening, wire.encodeOption(OPT_LEAVES, Buffer.from(wish.export, 'utf8'))]));
    const reply = await answer(OPT_LEAVES);
    if (reply.type !== wire.REP_ACK) throw optionRefused(wish, `hashing export "${wish.export}"`, reply);
    return { size: 0, flags: 0, structured: false, contexts: new Map(), minBlock: 1, maxPayload: 0, roundTripMs: 0 };
  }

  const go = Buffer.concat([wire.encodeString(wish.export), Buffer.from([0, 1, 0, wire.INFO_BLOCK_SIZE])]);
  const count = Buffer.alloc(4);
  count.writeUInt32BE(wish.contexts.length, 0);
  const contextsWish = Buffer.concat([wire.encodeString(wish.export), count, ...wish.contexts.map(wire.encodeString)]);
  const asked = performance.now();
  stream.send(
    Buffer.concat([
      opening,
      wire.encodeOption(wire.OPT_STRUCTURED_REPLY, Buffer.alloc(0)),
      wire.encodeOption(wire.OPT_SET_META_CONTEXT, contextsWish),
      wire.encodeOption(wire.OPT_GO, go),
    ]),
  );

  const structured = (await answer(wire.OPT_STRUCTURED_REPLY)).type === wire.REP_ACK;
  const roundTripMs = performance.now() - asked;
  const contexts = new Map<string, number>();
  for (let n = 0; ; n++) {
    const reply = await answer(wire.OPT_SET_META_CONTEXT);
    if (reply.type !== wire.REP_META_CONTEXT) break;
    if (reply.data.length < 4 || n >= MAX_REPLIES) throw fail('the list of meta contexts makes no sense');
    contexts.set(reply.data.toString('utf8', 4), reply.data.readUInt32BE(0));
  }

  let size = -1;
  let flags = 0;
  let minBlock = 1;
  let maxPayload = wire.DEFAULT_MAX_PAYLOAD;
  for (let n = 0; ; n++) {
    const reply = await answer(wire.OPT_GO);
    if (reply.type === wire.REP_ACK) break;
    if (reply.type === wire.REP_ERR_UNSUP) return exportByName(stream, wish, Buffer.alloc(0), noZeroes);
    if (reply.type !== wire.REP_INFO) throw optionRefused(wish, `export "${wish.export}"`, reply);
    if (reply.data.length < 2 || n >= MAX_REPLIES) throw fail('the description of the export makes no sense');
    const info = reply.data.readUInt16BE(0);
    if (info === wire.INFO_EXPORT) {
      if (reply.data.length !== 12) throw fail('the description of the export has a wrong length');
      size = wire.readUint64(reply.data, 2);
      flags = reply.data.readUInt16BE(10);
    } else if (info === wire.INFO_BLOCK_SIZE) {
      if (reply.data.length !== 14) throw fail('the block size information has a wrong length');
      minBlock = reply.data.readUInt32BE(2);
      maxPayload = Math.min(reply.data.readUInt32BE(10), wire.DEFAULT_MAX_PAYLOAD);
      const powerOfTwo = minBlock > 0 && (minBlock & (minBlock - 1)) === 0;
      if (!powerOfTwo || minBlock > 65_536) throw fail(`it asks for blocks of ${minBlock} bytes`);
      maxPayload -= maxPayload % minBlock;
      if (maxPayload < minBlock) throw fail('its largest request is smaller than one block');
    }
  }
  if (size < 0) throw fail('it did not tell the size of the export');
  if (size > Number.MAX_SAFE_INTEGER) throw fail('the export is larger than 8 PiB');
  return { size, flags, structured, contexts: structured ? contexts : new Map(), minBlock, maxPayload, roundTripMs };
}

/** The way in for servers without GO: one option, no errors, no structured replies. */
async function exportByName(
  stream: HandshakeStream,
  wish: HandshakeWish,
  opening: Buffer,
  noZeroes: boolean,
): Promise<NbdExport> {
  stream.send(Buffer.concat([opening, wire.encodeOption(wire.OPT_EXPORT_NAME, Buffer.from(wish.export, 'utf8'))]));
  const reply = await stream.take(noZeroes ? 10 : 134);
  const size = wire.readUint64(reply, 0);
  if (size > Number.MAX_SAFE_INTEGER) {
    throw new GodwitError('NBD_PROTOCOL', wish.label, { reason: 'the export is larger than 8 PiB' });
  }
  const flags = reply.readUInt16BE(8);
  return {
    size,
    flags,
    structured: false,
    contexts: new Map(),
    minBlock: 1,
    maxPayload: wire.DEFAULT_MAX_PAYLOAD,
    roundTripMs: 0,
  };
}

async function takeReply(stream: HandshakeStream, wish: HandshakeWish, option: number): Promise<OptionReply> {
  const head = await stream.take(20);
  const length = head.readUInt32BE(16);
  if (head.readBigUInt64BE(0) !== wire.OPTION_REPLY_MAGIC || head.readUInt32BE(8) !== option) {
    throw new GodwitError('NBD_PROTOCOL', wish.label, { reason: 'its answer does not belong to the option sent' });
  }
  if (length > MAX_OPTION_REPLY) {
    throw new GodwitError('NBD_PROTOCOL', wish.label, { reason: `an option reply of ${length} bytes` });
  }
  return { type: head.readUInt32BE(12), data: length === 0 ? Buffer.alloc(0) : await stream.take(length) };
}

function optionRefused(wish: HandshakeWish, what: string, reply: OptionReply): GodwitError {
  const said = reply.data
    .toString('utf8')
    .replace(/[^\x20-\x7e]/g, '?')
    .slice(0, 200);
  const reason = `it refused ${what}${said ? `: ${said}` : ''}`;
  switch (reply.type) {
    case wire.REP_ERR_UNKNOWN:
      return new GodwitError('NOT_FOUND', `${wish.label} (export "${wish.export}")`);
    case wire.REP_ERR_TLS_REQD:
      return new GodwitError('AUTHENTICATION_FAILED', wish.label, { reason: 'it requires TLS' });
    case wire.REP_ERR_POLICY:
      return new GodwitError('AUTHENTICATION_FAILED', wish.label, { reason });
    case wire.REP_ERR_SHUTDOWN:
      return new GodwitError('CONNECTION_FAILED', wish.label, { reason: 'it is shutting down' });
    case wire.REP_ERR_UNSUP:
      if (what === 'STARTTLS') {
        return new GodwitError('AUTHENTICATION_FAILED', wish.label, { reason: 'it offers no TLS' });
      }
      break;
  }
  return new GodwitError('NBD_PROTOCOL', wish.label, { reason });
}
