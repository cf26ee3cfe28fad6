import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import * as wire from '@godwit/disk/minion/agent-wire';
import { EIO, readUint64 } from '@godwit/disk/minion/nbd-wire';
import type { ByteReader } from './byte-reader.ts';
import type { Device } from './device.ts';
import { Gate, type Slots } from './slots.ts';

interface Blake3 {
  reset(): void;
  update(bytes: Uint8Array): void;
  digest(): string;
}

/** Pieces read ahead of the hashing for one connection. */
const READ_AHEAD = 6;
/** Questions of one connection that may wait for their answer to leave. */
const OPEN_QUESTIONS = 64;
const EINVAL = 22;
const zeroLeaf = Buffer.alloc(wire.LEAF_BYTES);

let shared: Blake3 | null = null;
/** In hexadecimal, of a whole leaf of zeroes. */
let zeroDigest: string | null = null;

/** The add-on that was sent along, or the one of the installation. */
function blake3(): Blake3 {
  if (shared !== null) return shared;
  const sent = fileURLToPath(new URL('./blake3.node', import.meta.url));
  const { Blake3Hasher } = createRequire(import.meta.url)(existsSync(sent) ? sent : '@napi-rs/blake-hash') as {
    Blake3Hasher: new () => Blake3;
  };
  shared = new Blake3Hasher();
  return shared;
}

/** Answers questions for digests, in their order, until the connection ends. */
export async function serveLeaves(stream: Duplex, reader: ByteReader, device: Device, slots: Slots): Promise<void> {
  const gate = new Gate(READ_AHEAD);
  const open = new Gate(OPEN_QUESTIONS);
  let last: Promise<void> = Promise.resolve();
  try {
    for (;;) {
      const head = Buffer.from(await reader.take(wire.HASH_REQUEST_SIZE));
      const number = head.readUInt32BE(0);
      const offset = readUint64(head, 4);
      const length = head.readUInt32BE(12);
      const sound =
        length > 0 &&
        length <= wire.MAX_LEAVES * wire.LEAF_BYTES &&
        offset + length <= device.size &&
        offset % device.block === 0 &&
        length % device.block === 0;
      await open.enter();
      // The next question is taken when the pieces of this one have been begun: memory stays bounded.
      const pieces = sound ? await beginReads(device, slots, gate, offset, length) : null;
      const before = last;
      last = before.then(async () => {
        const digests = pieces === null ? null : await hashAll(pieces);
        const errno = pieces === null ? EINVAL : digests === null ? EIO : 0;
        await send(stream, number, errno, digests);
        open.leave();
      });
    }
  } finally {
    await last;
  }
}

/** A piece being read; resolves with its digests, or null when it cannot be read. */
type Piece = Promise<Buffer | null>;

async function beginReads(device: Device, slots: Slots, gate: Gate, offset: number, length: number): Promise<Piece[]> {
  const pieces: Piece[] = [];
  for (let at = offset; at < offset + length; at += slots.size) {
    await gate.enter();
    const slot = await slots.take();
    const bytes = slot.subarray(0, Math.min(slots.size, offset + length - at));
    pieces.push(
      device
        .read(at, bytes)
        .then(
          () => hashLeaves(bytes),
          () => null,
        )
        .finally(() => {
          slots.give(slot);
          gate.leave();
        }),
    );
  }
  return pieces;
}

async function hashAll(pieces: Piece[]): Promise<Buffer | null> {
  const digests = await Promise.all(pieces);
  return digests.every((one) => one !== null) ? Buffer.concat(digests) : null;
}

/** Most leaves of thin volumes are zeroes: seeing that costs a small part of hashing them, above all in emulated machines. */
function hashLeaves(bytes: Buffer): Buffer {
  const leaves = Math.ceil(bytes.length / wire.LEAF_BYTES);
  const digests = Buffer.allocUnsafe(leaves * wire.DIGEST_BYTES);
  for (let n = 0; n < leaves; n++) {
    const leaf = bytes.subarray(n * wire.LEAF_BYTES, (n + 1) * wire.LEAF_BYTES);
    digests.write(leaf.equals(zeroLeaf) ? digestOfZeroes() : digestOf(leaf), n * wire.DIGEST_BYTES, 'hex');
  }
  return digests;
}

function digestOf(leaf: Uint8Array): string {
  const hasher = blake3();
  hasher.reset();
  hasher.update(leaf);
  return hasher.digest();
}

function digestOfZeroes(): string {
  zeroDigest ??= digestOf(zeroLeaf);
  return zeroDigest;
}

function send(stream: Duplex, number: number, errno: number, digests: Buffer | null): Promise<void> {
  const head = Buffer.alloc(wire.HASH_REPLY_SIZE);
  head.writeUInt32BE(number, 0);
  head.writeUInt32BE(errno, 4);
  return new Promise((resolve) => {
    if (stream.destroyed) resolve();
    else stream.write(digests === null ? head : Buffer.concat([head, digests]), () => resolve());
  });
}
