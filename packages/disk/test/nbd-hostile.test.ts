import { randomBytes } from 'node:crypto';
import { createServer, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { type NbdAddress, openNbd } from '../src/index.ts';
import * as wire from '../src/nbd-wire.ts';

/** A TCP server of one test's own manners. */
async function hostile(serve: (socket: Socket) => void) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    serve(socket);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
  const address: NbdAddress = { kind: 'nbd', transport: { host: '127.0.0.1', port }, export: '', readOnly: true };
  return {
    address,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

const greeting = Buffer.from('4e42444d4147494349484156454f50540003', 'hex');

function optionReply(option: number, type: number, data: Buffer): Buffer {
  const head = Buffer.alloc(20);
  head.writeBigUInt64BE(wire.OPTION_REPLY_MAGIC, 0);
  head.writeUInt32BE(option, 8);
  head.writeUInt32BE(type, 12);
  head.writeUInt32BE(data.length, 16);
  return Buffer.concat([head, data]);
}

function exportInfo(size: bigint, flags = 1): Buffer {
  const info = Buffer.alloc(12);
  info.writeBigUInt64BE(size, 2);
  info.writeUInt16BE(flags, 10);
  return info;
}

const context = Buffer.concat([Buffer.from([0, 0, 0, 5]), Buffer.from('base:allocation')]);
const agreed = Buffer.concat([
  optionReply(wire.OPT_STRUCTURED_REPLY, wire.REP_ACK, Buffer.alloc(0)),
  optionReply(wire.OPT_SET_META_CONTEXT, wire.REP_META_CONTEXT, context),
  optionReply(wire.OPT_SET_META_CONTEXT, wire.REP_ACK, Buffer.alloc(0)),
]);
const haggled = Buffer.concat([
  agreed,
  optionReply(wire.OPT_GO, wire.REP_INFO, exportInfo(1_048_576n)),
  optionReply(wire.OPT_GO, wire.REP_ACK, Buffer.alloc(0)),
]);

/** Greets, haggles as told, then answers each request as told. */
function manners(answers: Buffer, reply?: (request: Buffer, socket: Socket) => void) {
  return (socket: Socket) => {
    socket.write(greeting);
    let seen = 0;
    socket.on('data', (bytes: Buffer) => {
      seen++;
      if (seen === 1) socket.write(answers);
      else if (bytes.readUInt16BE(6) !== wire.CMD_DISCONNECT) reply?.(bytes, socket);
    });
  };
}

/** A structured reply to `request`; the payload's length can be a lie. */
function chunkFor(request: Buffer, type: number, payload: Buffer, claimed = payload.length, done = true): Buffer {
  const head = Buffer.alloc(20);
  head.writeUInt32BE(wire.STRUCTURED_REPLY_MAGIC, 0);
  head.writeUInt16BE(done ? 1 : 0, 4);
  head.writeUInt16BE(type, 6);
  request.copy(head, 8, 8, 16);
  head.writeUInt32BE(claimed, 16);
  return Buffer.concat([head, payload]);
}

/** For servers that stop or hang up: what is given up, soon. */
const quick = { connectTimeoutMs: 500, stallTimeoutMs: 500, reconnectForMs: 500 };
/** For lies, which are found out by what is said: on a busy machine too they are to come before the time is up. */
const patient = { connectTimeoutMs: 60_000, stallTimeoutMs: 60_000, reconnectForMs: 60_000 };

describe('a hostile server while connecting', () => {
  const lies: Record<string, (socket: Socket) => void> = {
    'that speaks HTTP': (socket) => socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n'),
    'that sends noise': (socket) => socket.write(randomBytes(4_096)),
    'that floods': (socket) => {
      const flood = () => {
        if (!socket.destroyed && socket.write(Buffer.concat([greeting, Buffer.alloc(262_144)]))) setImmediate(flood);
      };
      socket.on('drain', flood);
      flood();
    },
    'that answers another option': manners(optionReply(99, wire.REP_ACK, Buffer.alloc(0))),
    'that claims an endless option reply': manners(
      Buffer.concat([
        optionReply(wire.OPT_STRUCTURED_REPLY, wire.REP_ACK, Buffer.alloc(0)).subarray(0, 16),
        Buffer.alloc(4, 0xff),
      ]),
    ),
    'that lists contexts without end': manners(
      Buffer.concat([
        optionReply(wire.OPT_STRUCTURED_REPLY, wire.REP_ACK, Buffer.alloc(0)),
        ...Array.from({ length: 100 }, () => optionReply(wire.OPT_SET_META_CONTEXT, wire.REP_META_CONTEXT, context)),
      ]),
    ),
    'that tells no size': manners(Buffer.concat([agreed, optionReply(wire.OPT_GO, wire.REP_ACK, Buffer.alloc(0))])),
    'that has 2^63 bytes': manners(
      Buffer.concat([
        agreed,
        optionReply(wire.OPT_GO, wire.REP_INFO, exportInfo(2n ** 63n)),
        optionReply(wire.OPT_GO, wire.REP_ACK, Buffer.alloc(0)),
      ]),
    ),
  };
  for (const [name, serve] of Object.entries(lies)) {
    it(`${name} is found out`, async () => {
      await using server = await hostile(serve);
      await expect(openNbd(server.address, patient)).rejects.toMatchObject({ code: 'NBD_PROTOCOL' });
    });
  }

  it('that says nothing is left after the time it was given', async () => {
    await using server = await hostile(() => undefined);
    await expect(openNbd(server.address, quick)).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  });

  it('that stops in mid-haggle is left after the time it was given', async () => {
    await using server = await hostile(manners(agreed.subarray(0, 30)));
    await expect(openNbd(server.address, quick)).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  });

  it('can be left before by aborting', async () => {
    await using server = await hostile(() => undefined);
    const aborting = new AbortController();
    const opened = openNbd(server.address, {}, aborting.signal);
    setTimeout(() => aborting.abort(), 20);
    await expect(opened).rejects.toMatchObject({ code: 'CANCELED' });
  });
});

describe('a hostile server while reading', () => {
  const offset = (at: number, rest: Buffer) => {
    const head = Buffer.alloc(8);
    wire.writeUint64(head, at, 0);
    return Buffer.concat([head, rest]);
  };
  const lies: Record<string, (request: Buffer, socket: Socket) => void> = {
    'that sends noise': (_, socket) => socket.write(Buffer.alloc(100, 7)),
    'that answers what was not asked': (request, socket) => {
      const other = Buffer.from(request);
      other.writeUInt32BE(123, 12);
      socket.write(chunkFor(other, wire.REPLY_NONE, Buffer.alloc(0)));
    },
    'that answers twice': (request, socket) => {
      const reply = chunkFor(request, wire.REPLY_OFFSET_DATA, offset(0, Buffer.alloc(4_096)));
      socket.write(Buffer.concat([reply, reply]));
    },
    'that sends more than was asked': (request, socket) =>
      socket.write(chunkFor(request, wire.REPLY_OFFSET_DATA, offset(0, Buffer.alloc(8_192)))),
    'that claims 4 GiB of data': (request, socket) =>
      socket.write(chunkFor(request, wire.REPLY_OFFSET_DATA, offset(0, Buffer.alloc(64)), 0xffff_ffff)),
    'that claims 4 GiB of block status': (request, socket) =>
      socket.write(chunkFor(request, wire.REPLY_BLOCK_STATUS, Buffer.alloc(64), 0xffff_ffff)),
    'that never comes to an end': (request, socket) => {
      const error = Buffer.from([0, 0, 0, 5, 0, 0]);
      const one = chunkFor(request, wire.REPLY_ERROR, error, error.length, false);
      socket.write(Buffer.concat(Array.from({ length: 1_000 }, () => one)));
    },
    'that leaves bytes out': (request, socket) =>
      socket.write(chunkFor(request, wire.REPLY_OFFSET_DATA, offset(0, Buffer.alloc(4_095)))),
  };
  for (const [name, reply] of Object.entries(lies)) {
    it(`${name} is found out, and the disk stays closed`, async () => {
      await using server = await hostile(manners(haggled, reply));
      const disk = await openNbd(server.address, patient);
      const into = new Uint8Array(4_096);
      const first = disk.read(0, into);
      const second = first.then(() => disk.read(0, into));
      await expect(second).rejects.toMatchObject({ code: 'NBD_PROTOCOL' });
      await expect(disk.read(0, into)).rejects.toMatchObject({ code: 'NBD_PROTOCOL' });
      await disk.close();
    });
  }

  it('that answers block status without the asked context is found out', async () => {
    await using server = await hostile(
      manners(haggled, (request, socket) => {
        const status = Buffer.alloc(12);
        status.writeUInt32BE(77, 0);
        status.writeUInt32BE(4_096, 4);
        socket.write(chunkFor(request, wire.REPLY_BLOCK_STATUS, status));
      }),
    );
    const disk = await openNbd(server.address, patient);
    await expect(disk.extents(0, 4_096)).rejects.toMatchObject({ code: 'NBD_PROTOCOL' });
    await disk.close();
  });

  it('that stops in the middle of a payload cannot write into an aborted buffer later', async () => {
    const held: { socket: Socket; rest: Buffer }[] = [];
    await using server = await hostile(
      manners(haggled, (request, socket) => {
        const length = request.readUInt32BE(24);
        const reply = chunkFor(request, wire.REPLY_OFFSET_DATA, offset(0, Buffer.alloc(length, 0x77)));
        if (length === 4_096) {
          socket.write(reply);
        } else {
          socket.write(reply.subarray(0, 200_000));
          held.push({ socket, rest: reply.subarray(200_000) });
        }
      }),
    );
    const disk = await openNbd(server.address, patient);
    const into = Buffer.alloc(524_288, 0xee);
    const aborting = new AbortController();
    const read = disk.read(0, into, aborting.signal);
    read.catch(() => undefined);
    while (into[150_000] !== 0x77) await new Promise((resolve) => setImmediate(resolve));
    aborting.abort();
    await expect(read).rejects.toMatchObject({ code: 'CANCELED' });
    into.fill(0xdd);
    for (const { socket, rest } of held) socket.write(rest);
    const other = Buffer.alloc(4_096);
    await disk.read(0, other);
    expect(other.equals(Buffer.alloc(4_096, 0x77))).toBe(true);
    expect(into.equals(Buffer.alloc(524_288, 0xdd))).toBe(true);
    await disk.close();
  });

  it('that hangs up on each read is given up', async () => {
    await using server = await hostile(manners(haggled, (_, socket) => socket.destroy()));
    const disk = await openNbd(server.address, quick);
    await expect(disk.read(0, new Uint8Array(512))).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
    await disk.close();
  });
});
