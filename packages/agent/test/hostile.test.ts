import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { type AgentAddress, openDisk } from '@godwit/disk';
import { FRAME_PACKED, OPT_LEAVES, OPT_SESSION } from '@godwit/disk/minion/agent-wire';
import * as wire from '@godwit/disk/minion/nbd-wire';
import { GodwitError } from '@godwit/domain';
import { describe, expect, it } from 'vitest';

const MIB = 1_048_576;
const SIZE = 64 * MIB;

/** A minion of one test's own manners. @param serve is given the options and requests that come */
async function minion(serve: (socket: Socket, received: () => Buffer) => void) {
  const folder = await mkdtemp(join(tmpdir(), 'gwah-'));
  const socket = join(folder, 's');
  const tokenFile = join(folder, 'token');
  await writeFile(tokenFile, 'secret\n');
  const sockets = new Set<Socket>();
  const server = createServer((one) => {
    sockets.add(one);
    one.on('error', () => one.destroy());
    let all: Buffer = Buffer.alloc(0);
    one.on('data', (chunk) => {
      all = Buffer.concat([all, chunk]);
      serve(one, () => all);
    });
    one.write(Buffer.from('4e42444d4147494349484156454f50540003', 'hex'));
  });
  await new Promise<void>((resolve) => {
    server.listen(socket, resolve);
  });
  const address: AgentAddress = { kind: 'agent', socket, tokenFile, device: 'vda', readOnly: true, compress: false };
  return {
    address,
    async [Symbol.asyncDispose]() {
      for (const one of sockets) one.destroy();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function reply(option: number, type: number, data: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(20);
  head.writeBigUInt64BE(wire.OPTION_REPLY_MAGIC, 0);
  head.writeUInt32BE(option, 8);
  head.writeUInt32BE(type, 12);
  head.writeUInt32BE(data.length, 16);
  return Buffer.concat([head, data]);
}

function description(): Buffer {
  const info = Buffer.alloc(12);
  info.writeBigUInt64BE(BigInt(SIZE), 2);
  info.writeUInt16BE(1, 10);
  return info;
}

const session = reply(OPT_SESSION, wire.REP_ACK);
const agreed = Buffer.concat([
  reply(wire.OPT_STRUCTURED_REPLY, wire.REP_ACK),
  reply(wire.OPT_SET_META_CONTEXT, wire.REP_ACK),
  reply(wire.OPT_GO, wire.REP_INFO, description()),
  reply(wire.OPT_GO, wire.REP_ACK),
]);

/** Options and what they are answered with; then `then` has the word. */
function scripted(then: (socket: Socket, leaves: boolean, rest: Buffer) => void) {
  const states = new WeakMap<Socket, { at: number; leaves: boolean | null }>();
  return (socket: Socket, received: () => Buffer) => {
    const state = states.get(socket) ?? { at: 4, leaves: null };
    states.set(socket, state);
    for (const all = received(); state.leaves === null && all.length >= state.at + 16; ) {
      const option = all.readUInt32BE(state.at + 8);
      const end = state.at + 16 + all.readUInt32BE(state.at + 12);
      if (all.length < end) return;
      state.at = end;
      if (option === OPT_SESSION) socket.write(session);
      if (option === OPT_LEAVES) {
        state.leaves = true;
        socket.write(reply(OPT_LEAVES, wire.REP_ACK));
      }
      if (option === wire.OPT_GO) {
        state.leaves = false;
        socket.write(agreed);
      }
    }
    if (state.leaves !== null) then(socket, state.leaves, received().subarray(state.at));
  };
}

async function failure(promise: Promise<unknown> | undefined): Promise<GodwitError> {
  const error = await promise?.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof GodwitError)) throw new Error(`no GodwitError but ${String(error)}`);
  return error;
}

/** An answer to a question for digests. */
function answer(number: number, errno: number, bytes: number): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(number, 0);
  head.writeUInt32BE(errno, 4);
  return Buffer.concat([head, Buffer.alloc(bytes, 7)]);
}

describe('a minion that answers questions for digests', () => {
  const cases: { what: string; sent: Buffer | null; code: string }[] = [
    { what: 'with another number', sent: answer(5, 0, 32), code: 'NBD_PROTOCOL' },
    { what: 'twice', sent: Buffer.concat([answer(0, 0, 32), answer(1, 0, 32)]), code: 'NBD_PROTOCOL' },
    { what: 'with an error', sent: answer(0, 5, 0), code: 'DISK_READ_FAILED' },
    { what: 'with an error nobody knows', sent: answer(0, 4_000_000_000, 0), code: 'DISK_READ_FAILED' },
    { what: 'with half an answer', sent: answer(0, 0, 16), code: 'CONNECTION_FAILED' },
    { what: 'never', sent: null, code: 'CONNECTION_FAILED' },
  ];
  it.each(cases)('$what is refused', async ({ sent, code }) => {
    await using far = await minion(
      scripted((socket, leaves, rest) => {
        if (leaves && rest.length === 16 && sent !== null) socket.write(sent);
      }),
    );
    const disk = await openDisk(far.address, { stallTimeoutMs: 500 });
    const first = disk.hashLeaves?.(0, 65_536);
    if (code === 'NBD_PROTOCOL' && sent?.readUInt32BE(0) === 0) await first;
    const error = await failure(
      code === 'NBD_PROTOCOL' && sent?.readUInt32BE(0) === 0 ? disk.hashLeaves?.(0, 1) : first,
    );
    expect(error.code).toBe(code);
    await disk.close();
  });

  it('byte by byte is understood', async () => {
    await using far = await minion(
      scripted((socket, leaves, rest) => {
        if (!leaves || rest.length !== 16) return;
        const bytes = answer(0, 0, 64);
        const step = (at: number): void => {
          if (at === bytes.length || socket.destroyed) return;
          socket.write(bytes.subarray(at, at + 1));
          setImmediate(step, at + 1);
        };
        step(0);
      }),
    );
    const disk = await openDisk(far.address);
    expect(Buffer.from((await disk.hashLeaves?.(0, 131_072)) ?? []).equals(Buffer.alloc(64, 7))).toBe(true);
    await disk.close();
  });

  it('keeps nobody who gives up waiting', async () => {
    await using far = await minion(scripted(() => undefined));
    const disk = await openDisk(far.address);
    const stop = new AbortController();
    const asked = failure(disk.hashLeaves?.(0, 65_536, stop.signal));
    stop.abort();
    expect((await asked).code).toBe('CANCELED');
    await disk.close();
  });
});

describe('a minion that sends frames', () => {
  const header = (word: number): Buffer => {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(word >>> 0, 0);
    return head;
  };
  const bomb = zstdCompressSync(Buffer.alloc(32 * MIB));
  it.each([
    { what: 'larger than agreed', frame: header(0x7fff_ffff) },
    { what: 'that cannot be unpacked', frame: Buffer.concat([header(FRAME_PACKED | 100), Buffer.alloc(100, 3)]) },
    { what: 'that grow beyond bounds', frame: Buffer.concat([header(FRAME_PACKED | bomb.length), bomb]) },
  ])('$what is refused', async ({ frame }) => {
    await using far = await minion((socket, received) => {
      const all = received();
      if (all.length < 20 || all.length < 20 + all.readUInt32BE(16)) return;
      socket.write(Buffer.concat([session, frame]));
    });
    expect((await failure(openDisk({ ...far.address, compress: true }))).code).toBe('CONNECTION_FAILED');
  });
});
