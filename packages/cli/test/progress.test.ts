import stringWidth from 'string-width';
import { describe, expect, test } from 'vitest';
import {
  type DiskReading,
  forecast,
  noProgress,
  observe,
  percentOf,
  plainProgress,
  progressLines,
} from '../src/progress.ts';
import { formatBytes, formatDuration, parseRate } from '../src/quantity.ts';
import { RewrittenBlock } from '../src/screen.ts';

const MIB = 1_048_576;

const reading = (finished: number, more: Partial<DiskReading> = {}): DiskReading => ({
  instance: 'web01',
  disk: 'vda',
  totalBytes: 1024 * MIB,
  finishedBytes: finished * MIB,
  sentBytes: finished * MIB,
  phase: 'copy',
  ...more,
});

/** A disk that finishes `perSecond` MiB every second for `seconds`. */
function steady(perSecond: number, seconds: number) {
  let state = noProgress;
  for (let second = 0; second <= seconds; second += 1)
    state = observe(state, reading(second * perSecond), second * 1000);
  return state;
}

describe('progress of a disk', () => {
  test('shows percent, bytes, rate and time left once there is a rate', () => {
    const [line] = plainProgress(steady(100, 5));
    expect(line).toBe('web01 vda:  48% 500 MiB of 1.00 GiB, 500 MiB sent, 100 MiB/s, 0:05 left');
  });

  test('says nothing about speed after the first reading', () => {
    expect(plainProgress(observe(noProgress, reading(10), 0))[0]).toBe(
      'web01 vda:   0% 10.0 MiB of 1.00 GiB, 10.0 MiB sent, copy',
    );
  });

  test('never says 100 percent before all bytes are finished', () => {
    expect(percentOf(reading(1023.99))).toBe(99);
    expect(percentOf(reading(1024))).toBe(100);
    expect(percentOf(reading(0, { totalBytes: 0, finishedBytes: 0 }))).toBe(100);
  });

  test('gives a wider margin when the speed varies', () => {
    let varying = noProgress;
    for (const [second, mib] of [0, 100, 200, 300, 310, 320, 330].entries()) {
      varying = observe(varying, reading(mib), second * 1000);
    }
    expect(plainProgress(varying)[0]).toMatch(/left ±\d+:\d\d$/);
    expect(plainProgress(steady(100, 6))[0]).not.toContain('±');
  });

  test('says stalled when nothing moves', () => {
    let state = noProgress;
    for (const at of [0, 5_000, 10_000]) state = observe(state, reading(100), at);
    expect(plainProgress(state)[0]).toContain('stalled');
  });

  test('forgets the speed of a former pass when the disk starts again', () => {
    let state = steady(100, 5);
    state = observe(state, reading(0), 6_000);
    expect(plainProgress(state)[0]).not.toContain('MiB/s');
  });

  test('has no rate and no time left once it has ended', () => {
    expect(plainProgress(steady(100, 5), true)).toEqual(['web01 vda:  48% 500 MiB of 1.00 GiB, 500 MiB sent']);
  });

  test('follows the link: only the last twenty seconds count', () => {
    let state = noProgress;
    for (let second = 0; second <= 60; second += 1) {
      state = observe(state, reading(second <= 30 ? second * 20 : 600 + (second - 30)), second * 1000);
    }
    expect(plainProgress(state)[0]).toContain('1.00 MiB/s');
  });

  test('has no forecast from a single sample', () => {
    expect(forecast([{ at: 0, finished: 5 }], 10)).toBeUndefined();
  });
});

describe('lines for a terminal', () => {
  const many = (count: number) => {
    let state = noProgress;
    for (let disk = 0; disk < count; disk += 1) state = observe(state, reading(disk, { disk: `vd${disk}` }), 0);
    return state;
  };

  test('are one per disk, in the order of appearance', () => {
    const lines = progressLines(many(3), 120, 20);
    expect(lines.map((line) => line.split(' ')[1])).toEqual(['vd0', 'vd1', 'vd2']);
  });

  test('never wrap', () => {
    for (const width of [0, 1, 2, 20, 40, 79, 80, 200]) {
      for (const line of progressLines(steady(100, 5), width, 10)) expect(stringWidth(line)).toBeLessThanOrEqual(width);
    }
  });

  test('sum up the disks that do not fit', () => {
    const lines = progressLines(many(10), 120, 4);
    expect(lines).toHaveLength(4);
    expect(lines[3]).toMatch(/^and 7 more disks: /);
  });

  test('have a bar where there is room for it', () => {
    expect(progressLines(steady(128, 4), 120, 5)[0]).toContain('[##########----------]  50%');
    expect(progressLines(steady(128, 4), 70, 5)[0]).not.toContain('[');
  });
});

describe('the rewritten block', () => {
  test('goes up over what it wrote before, and other lines stay above it', () => {
    let screen = '';
    const block = new RewrittenBlock({
      write(text) {
        screen += text;
      },
    });
    block.show(['a 1%', 'b 1%']);
    block.show(['a 2%', 'b 2%']);
    block.print('web01: REPLICATE_DISKS RUNNING', ['a 2%', 'b 2%']);
    expect(screen).toBe(
      'a 1%\nb 1%\n\x1b[2A\x1b[Ja 2%\nb 2%\n\x1b[2A\x1b[Jweb01: REPLICATE_DISKS RUNNING\na 2%\nb 2%\n',
    );
  });
});

describe('quantities', () => {
  test('have three digits', () => {
    expect([0, 512, 1024, 10_240, 1_048_576 * 1000, 1.5 * 1024 ** 4].map(formatBytes)).toEqual([
      '0 B',
      '512 B',
      '1.00 KiB',
      '10.0 KiB',
      '0.98 GiB',
      '1.50 TiB',
    ]);
  });

  test('are rates as people write them', () => {
    expect(['500000', '100MB/s', '12.5 MiB', '1Gbit/s', '1Gbps', 'none'].map(parseRate)).toEqual([
      500_000, 100_000_000, 13_107_200, 125_000_000, 125_000_000, 0,
    ]);
    for (const wrong of ['', 'fast', '-1', '10 parsecs', '0', '1bit/s']) expect(() => parseRate(wrong)).toThrow();
    expect(() => parseRate('10')).toThrow('"10" alone would be 10 bytes per second; write a unit, as in 10MB/s');
    expect(parseRate('10B/s')).toBe(10);
  });

  test('are times as people write them', () => {
    expect([0, 7.4, 750, 11_100, 200_000].map(formatDuration)).toEqual([
      '0:00',
      '0:07',
      '12:30',
      '3:05:00',
      '2d 7:33:20',
    ]);
  });
});
