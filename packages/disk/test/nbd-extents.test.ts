import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { changedRanges, dirtyKind, ExtentCollector, extentKind } from '../src/nbd-extents.ts';

const descriptor = fc.tuple(fc.integer({ min: 1, max: 5_000 }), fc.integer({ min: 0, max: 3 }));

describe('extents', () => {
  it('of any server cover the asked range exactly, merged, and agree with the server byte by byte', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(descriptor, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 0, max: 4_000 }),
        fc.integer({ min: 1, max: 20_000 }),
        fc.integer({ min: 0, max: 511 }),
        (answers, start, length, before) => {
          const offset = start + before;
          const collector = new ExtentCollector(offset, length, start);
          const kinds: string[] = [];
          let turn = 0;
          while (!collector.complete) {
            const from = collector.next;
            const answer = answers[turn++ % answers.length]!;
            // A server may go on describing beyond what was asked; the collector must clip there and at `next`.
            let at = from;
            for (const [size, flags] of answer) {
              for (let byte = at; byte < at + size; byte++) kinds[byte] = extentKind(flags);
              at += size;
            }
            collector.add(answer.flat(), extentKind);
            kinds.length = Math.min(kinds.length, collector.next);
          }
          const extents = collector.take();
          let at = offset;
          let last = '';
          for (const extent of extents) {
            expect(extent.offset).toBe(at);
            expect(extent.length).toBeGreaterThan(0);
            expect(extent.kind).not.toBe(last);
            for (let byte = at; byte < at + extent.length; byte++) {
              if (kinds[byte] !== extent.kind) expect(kinds[byte]).toBe(extent.kind);
            }
            at += extent.length;
            last = extent.kind;
          }
          expect(at).toBe(offset + length);
        },
      ),
    );
  });

  it('call a hole data unless the server says that it reads as zeroes', () => {
    expect([0, 1, 2, 3].map(extentKind)).toEqual(['data', 'data', 'zero', 'hole']);
  });

  it('of a dirty bitmap become changed ranges that never adjoin', () => {
    const collector = new ExtentCollector(100, 900);
    collector.add([100, 1, 100, 1, 200, 0, 50, 1, 5_000, 0], dirtyKind);
    expect(changedRanges(collector.take())).toEqual([
      { offset: 100, length: 200 },
      { offset: 500, length: 50 },
    ]);
  });
});
