import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NbdReplyParser, ReplyError } from '../src/nbd-reply-parser.ts';
import type { NbdRequest } from '../src/nbd-request.ts';
import * as wire from '../src/nbd-wire.ts';

const LENGTH = 4_096;
const OFFSET = 1_000_000;

function readRequest(into: Uint8Array): NbdRequest {
  return {
    command: wire.CMD_READ,
    flags: 0,
    offset: OFFSET,
    length: into.byteLength,
    payload: null,
    into,
    chunks: 0,
    filled: 0,
    scattered: null,
    contextName: null,
    descriptors: null,
    errno: 0,
    errorText: '',
    losses: 0,
    abandoned: false,
    settle: () => undefined,
  };
}

/** A parser with one open request per slot; `finished` fills as replies end. */
function parserFor(requests: NbdRequest[], structured: boolean) {
  const finished: number[] = [];
  const sink = {
    find: (turn: number, slot: number) => (turn === 1 && !finished.includes(slot) ? requests[slot] : undefined),
    finished: (slot: number) => finished.push(slot),
    contextId: (name: string) => (name === 'base:allocation' ? 3 : undefined),
  };
  return { parser: new NbdReplyParser(sink, structured), finished };
}

function chunk(slot: number, type: number, payload: Buffer, done: boolean): Buffer {
  const head = Buffer.alloc(20);
  head.writeUInt32BE(wire.STRUCTURED_REPLY_MAGIC, 0);
  head.writeUInt16BE(done ? 1 : 0, 4);
  head.writeUInt16BE(type, 6);
  head.writeUInt32BE(1, 8);
  head.writeUInt32BE(slot, 12);
  head.writeUInt32BE(payload.length, 16);
  return Buffer.concat([head, payload]);
}

function simple(slot: number, errno: number, data: Buffer): Buffer {
  const head = Buffer.alloc(16);
  head.writeUInt32BE(wire.SIMPLE_REPLY_MAGIC, 0);
  head.writeUInt32BE(errno, 4);
  head.writeUInt32BE(1, 8);
  head.writeUInt32BE(slot, 12);
  return Buffer.concat([head, data]);
}

function at(offset: number, rest: Buffer): Buffer {
  const head = Buffer.alloc(8);
  wire.writeUint64(head, offset, 0);
  return Buffer.concat([head, rest]);
}

function uint32(...values: number[]): Buffer {
  const out = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => {
    out.writeUInt32BE(value, index * 4);
  });
  return out;
}

/** Pieces of a read: cut points within the request, each piece data or hole. */
const pieces = fc.array(fc.record({ length: fc.integer({ min: 1, max: 900 }), hole: fc.boolean() }), {
  minLength: 1,
  maxLength: 12,
});

describe('the reply parser', () => {
  it('puts every byte in its place however the stream is cut and the chunks are ordered', () => {
    fc.assert(
      fc.property(
        pieces,
        fc.infiniteStream(fc.integer({ min: 1, max: 700 })),
        fc.integer(),
        fc.boolean(),
        (parts, cuts, order, trailingDone) => {
          const total = parts.reduce((sum, part) => sum + part.length, 0);
          const wanted = Buffer.from(Array.from({ length: total }, (_, n) => (n * 31 + 7) & 0xff));
          let offset = 0;
          const chunks = parts.map((part) => {
            const from = offset;
            offset += part.length;
            if (part.hole) wanted.fill(0, from, offset);
            return part.hole
              ? { type: wire.REPLY_OFFSET_HOLE, payload: at(OFFSET + from, uint32(part.length)) }
              : { type: wire.REPLY_OFFSET_DATA, payload: at(OFFSET + from, wanted.subarray(from, offset)) };
          });
          chunks.sort((a, b) => ((a.payload[7]! * 7919 + order) % 13) - ((b.payload[7]! * 7919 + order) % 13));
          const stream = Buffer.concat([
            ...chunks.map(({ type, payload }, n) => chunk(0, type, payload, !trailingDone && n === chunks.length - 1)),
            ...(trailingDone ? [chunk(0, wire.REPLY_NONE, Buffer.alloc(0), true)] : []),
          ]);
          const into = Buffer.alloc(total, 0xee);
          const { parser, finished } = parserFor([readRequest(into)], true);
          for (let from = 0; from < stream.length; ) {
            const piece = stream.subarray(from, from + cuts.next().value);
            parser.feed(piece, piece.length);
            from += piece.length;
          }
          expect(finished).toEqual([0]);
          expect(into.equals(wanted)).toBe(true);
          expect(parser.midReply).toBe(false);
        },
      ),
    );
  });

  it('matches replies that come out of order, simple ones too', () => {
    const buffers = [1, 2, 3].map(() => Buffer.alloc(LENGTH));
    const { parser, finished } = parserFor(buffers.map(readRequest), false);
    for (const slot of [2, 0, 1]) {
      const reply = simple(slot, 0, Buffer.alloc(LENGTH, slot + 1));
      parser.feed(reply, reply.length);
    }
    expect(finished).toEqual([2, 0, 1]);
    expect(buffers.map((buffer) => buffer[LENGTH - 1])).toEqual([1, 2, 3]);
  });

  it('keeps the first error and its text, also when data follows', () => {
    const request = readRequest(Buffer.alloc(LENGTH));
    const { parser, finished } = parserFor([request], true);
    const text = Buffer.from('bad sector\u0007');
    const error = Buffer.concat([uint32(wire.EIO), Buffer.from([0, text.length]), text, at(OFFSET, Buffer.alloc(0))]);
    const stream = Buffer.concat([
      chunk(0, wire.REPLY_ERROR_OFFSET, error, false),
      chunk(0, wire.REPLY_OFFSET_DATA, at(OFFSET + 512, Buffer.alloc(512)), true),
    ]);
    parser.feed(stream, stream.length);
    expect(finished).toEqual([0]);
    expect(request.errno).toBe(wire.EIO);
    expect(request.errorText).toBe('bad sector?');
  });

  it('drains the payload of a request that nobody waits for', () => {
    const into = Buffer.alloc(LENGTH, 0xee);
    const request = readRequest(into);
    const { parser, finished } = parserFor([request], true);
    const stream = chunk(0, wire.REPLY_OFFSET_DATA, at(OFFSET, Buffer.alloc(LENGTH, 1)), true);
    parser.feed(stream.subarray(0, 1_000), 1_000);
    request.into = null;
    parser.feed(stream.subarray(1_000), stream.length - 1_000);
    expect(finished).toEqual([0]);
    expect(into[1_500]).toBe(0xee);
  });

  it('answers any noise with a ReplyError or not at all, never with another failure', () => {
    const sound = Buffer.concat([
      chunk(0, wire.REPLY_OFFSET_HOLE, at(OFFSET, uint32(512)), false),
      chunk(0, wire.REPLY_OFFSET_DATA, at(OFFSET + 512, Buffer.alloc(LENGTH - 512)), true),
    ]);
    const flips = fc.array(fc.tuple(fc.nat(sound.length - 1), fc.integer({ min: 1, max: 255 })), { maxLength: 4 });
    fc.assert(
      fc.property(flips, fc.uint8Array({ maxLength: 64 }), fc.boolean(), (changes, tail, structured) => {
        const stream = Buffer.concat([sound, tail]);
        for (const [index, mask] of changes) stream[index] = stream[index]! ^ mask;
        const into = Buffer.alloc(LENGTH);
        const { parser } = parserFor([readRequest(into)], structured);
        try {
          parser.feed(stream, stream.length);
        } catch (error) {
          expect(error).toBeInstanceOf(ReplyError);
        }
        expect(into.length).toBe(LENGTH);
      }),
      { numRuns: 2_000 },
    );
  });

  it('receives straight into the buffer of the request once its payload has begun', () => {
    const into = Buffer.alloc(65_536);
    const { parser, finished } = parserFor([readRequest(into)], true);
    const stream = chunk(0, wire.REPLY_OFFSET_DATA, at(OFFSET, Buffer.alloc(65_536, 5)), true);
    expect(parser.place()).toBeNull();
    parser.feed(stream, 1_028);
    const place = parser.place()!;
    expect(place.length).toBe(64_536);
    stream.copy(place, 0, 1_028, 61_028);
    parser.placed(60_000);
    expect(parser.place()).toBeNull();
    parser.feed(stream.subarray(61_028), stream.length - 61_028);
    expect(finished).toEqual([0]);
    expect(into.equals(Buffer.alloc(65_536, 5))).toBe(true);
  });

  const lies: Record<string, Buffer> = {
    'a wrong magic': Buffer.alloc(16, 0x55),
    'an unknown cookie': chunk(7, wire.REPLY_NONE, Buffer.alloc(0), true),
    'a simple reply to a read among structured ones': simple(0, 0, Buffer.alloc(LENGTH)),
    'data beyond the request': chunk(0, wire.REPLY_OFFSET_DATA, at(OFFSET + LENGTH - 1, Buffer.alloc(2)), true),
    'data before the request': chunk(0, wire.REPLY_OFFSET_DATA, at(OFFSET - 1, Buffer.alloc(2)), true),
    'more data than asked': chunk(0, wire.REPLY_OFFSET_DATA, at(OFFSET, Buffer.alloc(LENGTH + 1)), true),
    'a read that leaves bytes out': chunk(0, wire.REPLY_OFFSET_DATA, at(OFFSET, Buffer.alloc(LENGTH - 1)), true),
    'the same bytes twice': Buffer.concat([
      chunk(0, wire.REPLY_OFFSET_DATA, at(OFFSET, Buffer.alloc(LENGTH / 2)), false),
      chunk(0, wire.REPLY_OFFSET_DATA, at(OFFSET, Buffer.alloc(LENGTH / 2)), true),
    ]),
    'the same bytes twice, out of order': Buffer.concat([
      chunk(0, wire.REPLY_OFFSET_DATA, at(OFFSET + LENGTH / 2, Buffer.alloc(LENGTH / 2)), false),
      chunk(0, wire.REPLY_OFFSET_DATA, at(OFFSET + LENGTH / 2, Buffer.alloc(LENGTH / 2)), true),
    ]),
    'an empty hole': chunk(0, wire.REPLY_OFFSET_HOLE, at(OFFSET, uint32(0)), true),
    'block status for a read': chunk(0, wire.REPLY_BLOCK_STATUS, uint32(3, 512, 0), true),
    'an error without error number': chunk(0, wire.REPLY_ERROR, Buffer.alloc(6), true),
    'an error text beyond its chunk': chunk(0, wire.REPLY_ERROR, Buffer.concat([uint32(5), Buffer.from([9, 9])]), true),
    'an endless error': chunk(0, wire.REPLY_ERROR, Buffer.alloc(70_000), true),
    'an unknown chunk type': chunk(0, 77, Buffer.alloc(8), true),
    'a chunk of 4 GiB': Buffer.concat([
      chunk(0, wire.REPLY_BLOCK_STATUS, Buffer.alloc(0), true).subarray(0, 16),
      uint32(0xffff_ffff),
    ]),
  };
  for (const [name, stream] of Object.entries(lies)) {
    it(`refuses ${name}`, () => {
      const { parser, finished } = parserFor([readRequest(Buffer.alloc(LENGTH))], true);
      expect(() => parser.feed(stream, stream.length)).toThrow(ReplyError);
      expect(finished).toEqual([]);
    });
  }
});
