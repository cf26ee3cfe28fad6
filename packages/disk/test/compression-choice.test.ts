import { describe, expect, it } from 'vitest';
import { CompressionChoice } from '../src/compression-choice.ts';

const MIB = 1_048_576;

/** Sends `pieces` of 1 MiB; returns the share of them that went compressed. */
function share(choice: CompressionChoice, pieces: number, packedMs: number, rawMs: number): number {
  let packed = 0;
  for (let n = 0; n < pieces; n++) {
    if (choice.packs) packed++;
    choice.sent(choice.packs, MIB, choice.packs ? packedMs : rawMs);
  }
  return packed / pieces;
}

describe('the choice to compress', () => {
  it('falls on compressing where that is faster, on raw where it is not', () => {
    expect(share(new CompressionChoice(), 4_000, 20, 80)).toBeGreaterThan(0.85);
    expect(share(new CompressionChoice(), 4_000, 80, 20)).toBeLessThan(0.15);
  });

  it('follows when the link or what is sent changes', () => {
    const choice = new CompressionChoice();
    share(choice, 1_000, 20, 80);
    share(choice, 300, 80, 20);
    expect(share(choice, 2_000, 80, 20)).toBeLessThan(0.15);
    share(choice, 300, 20, 80);
    expect(share(choice, 2_000, 20, 80)).toBeGreaterThan(0.85);
  });

  it('is not misled by pieces that another connection began before it changed', () => {
    const choice = new CompressionChoice();
    share(choice, 1_000, 20, 80);
    const { packs } = choice;
    for (let n = 0; n < 1_000; n++) choice.sent(!packs, MIB, 1);
    expect(choice.packs).toBe(packs);
  });

  it('keeps what it does when both are equal', () => {
    const choice = new CompressionChoice();
    share(choice, 100, 50, 50);
    const portion = share(choice, 4_000, 50, 50);
    expect(portion < 0.15 || portion > 0.85).toBe(true);
  });
});
