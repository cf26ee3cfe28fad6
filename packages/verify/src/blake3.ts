/**
 * BLAKE3 in plain TypeScript, hash mode only, 32 bytes out. Written from the specification (github.com/BLAKE3-team/BLAKE3,
 * blake3.pdf, section 2) so that the proof does not rest on the library that the engine uses.
 */

const CHUNK = 1024;
const BLOCK = 64;
const CHUNK_START = 1;
const CHUNK_END = 2;
const PARENT = 4;
const ROOT = 8;
const IV = new Uint32Array([
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
]);
const PERMUTATION = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];

/** Word order of the message in each of the seven rounds, one after the other. */
const SCHEDULE = new Uint8Array(7 * 16);
for (let i = 0; i < 16; i += 1) SCHEDULE[i] = i;
for (let i = 16; i < SCHEDULE.length; i += 1) SCHEDULE[i] = SCHEDULE[i - (i % 16) - 16 + PERMUTATION[i % 16]!]!;

const v = new Uint32Array(16);
const m = new Uint32Array(16);

function mix(a: number, b: number, c: number, d: number, x: number, y: number): void {
  let va = (v[a]! + v[b]! + x) | 0;
  let vd = v[d]! ^ va;
  vd = (vd >>> 16) | (vd << 16);
  let vc = (v[c]! + vd) | 0;
  let vb = v[b]! ^ vc;
  vb = (vb >>> 12) | (vb << 20);
  va = (va + vb + y) | 0;
  vd ^= va;
  vd = (vd >>> 8) | (vd << 24);
  vc = (vc + vd) | 0;
  vb ^= vc;
  v[a] = va;
  v[b] = (vb >>> 7) | (vb << 25);
  v[c] = vc;
  v[d] = vd;
}

/** The compression function over the block in `m`; leaves the eight output words in `out` at `at`. */
function compress(
  value: Uint32Array,
  counter: number,
  length: number,
  flags: number,
  out: Uint32Array,
  at: number,
): void {
  v.set(value);
  v.set(IV.subarray(0, 4), 8);
  v[12] = counter >>> 0;
  v[13] = Math.floor(counter / 4_294_967_296);
  v[14] = length;
  v[15] = flags;
  for (let r = 0; r < SCHEDULE.length; r += 16) {
    mix(0, 4, 8, 12, m[SCHEDULE[r]!]!, m[SCHEDULE[r + 1]!]!);
    mix(1, 5, 9, 13, m[SCHEDULE[r + 2]!]!, m[SCHEDULE[r + 3]!]!);
    mix(2, 6, 10, 14, m[SCHEDULE[r + 4]!]!, m[SCHEDULE[r + 5]!]!);
    mix(3, 7, 11, 15, m[SCHEDULE[r + 6]!]!, m[SCHEDULE[r + 7]!]!);
    mix(0, 5, 10, 15, m[SCHEDULE[r + 8]!]!, m[SCHEDULE[r + 9]!]!);
    mix(1, 6, 11, 12, m[SCHEDULE[r + 10]!]!, m[SCHEDULE[r + 11]!]!);
    mix(2, 7, 8, 13, m[SCHEDULE[r + 12]!]!, m[SCHEDULE[r + 13]!]!);
    mix(3, 4, 9, 14, m[SCHEDULE[r + 14]!]!, m[SCHEDULE[r + 15]!]!);
  }
  for (let i = 0; i < 8; i += 1) out[at + i] = v[i]! ^ v[i + 8]!;
}

const block = new Uint8Array(BLOCK);
const blockView = new DataView(block.buffer);
const chain = new Uint32Array(8);

function loadBlock(input: Uint8Array, at: number, length: number): void {
  if (length < BLOCK) block.fill(0);
  block.set(input.subarray(at, at + length));
  for (let i = 0; i < 16; i += 1) m[i] = blockView.getUint32(i * 4, true);
}

/** Chaining value of one chunk of up to 1,024 bytes. `root` is set when it is the only one. */
function hashChunk(
  input: Uint8Array,
  at: number,
  end: number,
  counter: number,
  root: boolean,
  out: Uint32Array,
  to: number,
): void {
  chain.set(IV);
  let start = CHUNK_START;
  for (let offset = at; ; offset += BLOCK) {
    const length = Math.min(BLOCK, end - offset);
    const last = offset + BLOCK >= end;
    loadBlock(input, offset, length);
    const flags = start | (last ? CHUNK_END | (root ? ROOT : 0) : 0);
    compress(chain, counter, length, flags, last ? out : chain, last ? to : 0);
    if (last) return;
    start = 0;
  }
}

/** BLAKE3 digest of `input`, 32 bytes. */
export function blake3(input: Uint8Array): Uint8Array {
  const chunks = Math.max(1, Math.ceil(input.length / CHUNK));
  const values = new Uint32Array(chunks * 8);
  for (let i = 0; i < chunks; i += 1) {
    hashChunk(input, i * CHUNK, Math.min(input.length, (i + 1) * CHUNK), i, chunks === 1, values, i * 8);
  }
  // A left subtree is the largest power of two of chunks: level by level in pairs, an odd one rises as it is.
  for (let count = chunks; count > 1; count = Math.ceil(count / 2)) {
    for (let i = 0; i + 1 < count; i += 2) {
      m.set(values.subarray(i * 8, i * 8 + 16));
      compress(IV, 0, BLOCK, PARENT | (count === 2 ? ROOT : 0), values, (i / 2) * 8);
    }
    if (count % 2 === 1) values.copyWithin(((count - 1) / 2) * 8, (count - 1) * 8, count * 8);
  }
  const digest = new Uint8Array(32);
  const view = new DataView(digest.buffer);
  for (let i = 0; i < 8; i += 1) view.setUint32(i * 4, values[i]!, true);
  return digest;
}
