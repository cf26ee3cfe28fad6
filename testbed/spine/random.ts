/** A small seeded generator (mulberry32): the same seed gives the same test on every machine. */
export type Random = () => number;

export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A whole number in [from, to). */
export function between(random: Random, from: number, to: number): number {
  return from + Math.floor(random() * (to - from));
}

/** Fills a buffer with bytes that no compressor shrinks. */
export function fill(random: Random, buffer: Buffer): Buffer {
  const words = new Uint32Array(buffer.buffer, buffer.byteOffset, Math.floor(buffer.length / 4));
  for (let i = 0; i < words.length; i += 1) words[i] = (random() * 4_294_967_296) >>> 0;
  for (let i = words.length * 4; i < buffer.length; i += 1) buffer[i] = between(random, 1, 256);
  return buffer;
}
