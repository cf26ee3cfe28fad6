import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CopyWindow, type WindowItem, type WindowLimits } from '../src/copy-window.ts';
import { GROUP_LEAVES } from '../src/index.ts';

interface Item extends WindowItem {
  id: number;
}

const MIB = 1_048_576;

/** What the world outside knows: which leaves a committed intent covers, which are recorded, which are being written. */
class Model {
  readonly window: CopyWindow<Item>;
  readonly limits: WindowLimits;
  intended = new Set<number>();
  readonly writing = new Set<Item>();
  readonly auditing = new Set<Item>();
  readonly finished = new Set<Item>();
  readonly recorded = new Set<number>();
  planned: Item[] = [];
  flushed: Item[] = [];
  nextLeaf = 0;
  pending: { finished: Item[]; intent: Set<number>; lowWater: number } | null = null;

  constructor(limits: WindowLimits) {
    this.limits = limits;
    this.window = new CopyWindow<Item>(0, limits);
  }

  plan(gap: number, count: number, kind: 'data' | 'zero' | 'audit'): void {
    let first = this.nextLeaf + gap;
    const room = GROUP_LEAVES - (first % GROUP_LEAVES);
    if (count > room) first += room;
    const audit = kind === 'audit';
    const item = { id: first, run: { first, count }, bytes: kind === 'zero' ? 0 : count * 65_536, audit };
    if (!this.window.hasRoom(item)) return;
    this.window.plan(item);
    this.planned.push(item);
    this.nextLeaf = first + count;
  }

  issue(): void {
    const item = this.window.next();
    if (!item) return;
    // The rule of the whole protocol: nothing is written that a committed intent does not cover.
    for (const leaf of leavesOf(item)) expect(this.intended.has(leaf)).toBe(true);
    expect(item.audit).toBe(false);
    this.writing.add(item);
  }

  issueAudit(): void {
    const item = this.window.nextAudit();
    if (!item) return;
    expect(item.audit).toBe(true);
    this.auditing.add(item);
  }

  finish(pick: number): void {
    const busy = [...this.writing, ...this.auditing];
    const item = busy[pick % Math.max(1, busy.length)];
    if (!item) return;
    this.writing.delete(item);
    this.auditing.delete(item);
    this.finished.add(item);
    this.window.finish(item);
  }

  /** Never while a commit records what another flush covered. */
  flush(): void {
    if (this.pending && this.pending.finished.length > 0) return;
    this.flushed = this.window.coveredItems();
    for (const item of this.flushed) expect(this.finished.has(item) || item.audit).toBe(true);
  }

  checkpoint(what: 'both' | 'intend'): void {
    if (this.pending) return;
    const { finished, intent, lowWater } = this.window.checkpoint(what, this.flushed.length);
    // Whatever was finished since the flush began is not recorded: its bytes may lie in a cache.
    const unlooked = this.flushed.findIndex((item) => !this.finished.has(item));
    const recordable = unlooked < 0 ? this.flushed : this.flushed.slice(0, unlooked);
    expect(finished).toEqual(what === 'both' ? recordable : []);
    if (what === 'both') this.flushed = [];
    const leaves = new Set(intent.flatMap((run) => Array.from({ length: run.count }, (_, i) => run.first + i)));
    for (const item of finished) expect(this.finished.has(item)).toBe(true);
    let bytes = 0;
    for (const item of this.planned) {
      if (!leaves.has(item.run.first)) continue;
      expect(item.audit).toBe(false);
      bytes += item.bytes;
    }
    expect(bytes).toBeLessThanOrEqual(Math.max(this.limits.bytes, 8 * 65_536));
    expect(intent.length).toBeLessThanOrEqual(this.limits.runs);
    this.pending = { finished, intent: leaves, lowWater };
  }

  committed(): void {
    if (!this.pending) return;
    const { finished, intent, lowWater } = this.pending;
    this.pending = null;
    this.window.committed();
    this.intended = intent;
    for (const item of finished) for (const leaf of leavesOf(item)) this.recorded.add(leaf);
    // All that lies below the low-water mark is recorded; what is being written is intended.
    for (const item of this.planned) {
      for (const leaf of leavesOf(item)) if (leaf < lowWater) expect(this.recorded.has(leaf)).toBe(true);
    }
    this.check();
  }

  check(): void {
    const touched = [...this.writing, ...this.finished].filter((item) => !item.audit);
    for (const item of touched) {
      for (const leaf of leavesOf(item)) expect(this.recorded.has(leaf) || this.intended.has(leaf)).toBe(true);
    }
  }
}

function leavesOf(item: Item): number[] {
  return Array.from({ length: item.run.count }, (_, i) => item.run.first + i);
}

const action = fc.oneof(
  fc.record({
    do: fc.constant('plan' as const),
    gap: fc.nat(3_000),
    count: fc.integer({ min: 1, max: 8 }),
    kind: fc.constantFrom('data' as const, 'zero' as const, 'audit' as const),
  }),
  fc.record({ do: fc.constant('issue' as const) }),
  fc.record({ do: fc.constant('audit' as const) }),
  fc.record({ do: fc.constant('finish' as const), pick: fc.nat(20) }),
  fc.record({ do: fc.constant('checkpoint' as const), what: fc.constantFrom('both' as const, 'intend' as const) }),
  fc.record({ do: fc.constant('flush' as const) }),
  fc.record({ do: fc.constant('committed' as const) }),
);

describe('the window of a copy', () => {
  it('never lets anything be written or forgotten that is not intended or recorded, in any order of events', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 200 }), fc.integer({ min: 1, max: 32 }), (actions, chunks) => {
        const model = new Model({ bytes: chunks * MIB, runs: 12, groups: 4 });
        for (const step of actions) {
          if (step.do === 'plan') model.plan(step.gap, step.count, step.kind);
          else if (step.do === 'issue') model.issue();
          else if (step.do === 'audit') model.issueAudit();
          else if (step.do === 'finish') model.finish(step.pick);
          else if (step.do === 'flush') model.flush();
          else if (step.do === 'checkpoint') model.checkpoint(step.what);
          else model.committed();
          model.check();
        }
        // Whatever happened so far, the rest can be brought to its end.
        model.committed();
        for (let turn = 0; turn < 500 && model.window.count > 0; turn++) {
          model.flush();
          model.checkpoint('both');
          model.committed();
          model.issue();
          model.issueAudit();
          model.finish(0);
        }
        expect(model.window.allWritten).toBe(true);
        expect(model.window.inFlightCount + model.window.auditCount).toBe(0);
        expect(model.window.count).toBe(0);
        expect(model.window.lowWater).toBe(model.window.frontier);
        for (const item of model.planned)
          for (const leaf of leavesOf(item)) expect(model.recorded.has(leaf)).toBe(true);
      }),
      { numRuns: 150 },
    );
  });

  it('takes out of the last intent what was never issued, and keeps what hangs', () => {
    const window = new CopyWindow<Item>(0, { bytes: 64 * MIB, runs: 100, groups: 10 });
    const items = [0, 10, 20, 30].map((first) => ({
      id: first,
      run: { first, count: 1 },
      bytes: 65_536,
      audit: false,
    }));
    for (const item of items) window.plan(item);
    window.checkpoint();
    window.committed();
    for (let i = 0; i < 3; i++) window.next();
    window.finish(items[0]!);
    window.finish(items[2]!);
    const last = window.checkpoint('last');
    expect(last.finished).toEqual([items[0]]);
    expect(last.lowWater).toBe(10);
    expect(last.intent).toEqual([
      { first: 10, count: 1 },
      { first: 20, count: 1 },
    ]);
  });

  it('gives audits no intent and no room, and records nothing beyond one that was not looked at', () => {
    const window = new CopyWindow<Item>(0, { bytes: MIB, runs: 100, groups: 10 });
    const item = (first: number, audit: boolean) => ({ id: first, run: { first, count: 8 }, bytes: MIB / 2, audit });
    const items = [item(0, false), item(8, true), item(16, true), item(24, true), item(32, false)];
    for (const one of items) {
      expect(window.hasRoom(one)).toBe(true);
      window.plan(one);
    }
    expect(window.hasRoom(item(40, false))).toBe(false);
    expect(window.checkpoint('intend').intent).toEqual([
      { first: 0, count: 8 },
      { first: 32, count: 8 },
    ]);
    window.committed();
    for (const one of [items[0]!, items[4]!]) {
      expect(window.next()).toBe(one);
      window.finish(one);
    }
    expect(window.allWritten).toBe(true);
    expect(window.coveredItems()).toEqual(items);
    expect(window.nextAudit()).toBe(items[1]);
    window.finish(items[1]!);
    const { finished, lowWater, intent } = window.checkpoint('both', 5);
    expect(finished).toEqual(items.slice(0, 2));
    expect(lowWater).toBe(16);
    expect(intent).toEqual([{ first: 32, count: 8 }]);
  });

  it('refuses work behind its frontier', () => {
    const window = new CopyWindow<Item>(8, { bytes: MIB, runs: 4, groups: 4 });
    expect(() => window.plan({ id: 7, run: { first: 7, count: 1 }, bytes: 1, audit: false })).toThrow(RangeError);
  });
});
