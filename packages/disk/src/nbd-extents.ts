import type { Extent, ExtentKind, Range } from './disk.ts';
import { STATE_DIRTY, STATE_HOLE, STATE_ZERO } from './nbd-wire.ts';

/** base:allocation flags as a kind. A hole that is not said to read as zeroes must be read. */
export function extentKind(flags: number): ExtentKind {
  if ((flags & STATE_ZERO) === 0) return 'data';
  return (flags & STATE_HOLE) === 0 ? 'zero' : 'hole';
}

/**
 * Gathers block status answers into ordered, merged extents that cover a range exactly. Servers may describe less than
 * asked (ask again from `next`) or more (clipped).
 */
export class ExtentCollector {
  readonly #start: number;
  readonly #end: number;
  readonly #extents: Extent[] = [];
  /** Where the next answer must start. */
  next: number;

  /** @param alignedStart where asking begins, at or before `offset` */
  constructor(offset: number, length: number, alignedStart = offset) {
    this.#start = offset;
    this.#end = offset + length;
    this.next = alignedStart;
  }

  get complete(): boolean {
    return this.next >= this.#end;
  }

  /** Takes one answer: alternating length and flags, from `next` on. */
  add(descriptors: readonly number[], kindOf: (flags: number) => ExtentKind): void {
    for (let i = 0; i + 1 < descriptors.length && !this.complete; i += 2) {
      this.push(this.next + descriptors[i]!, kindOf(descriptors[i + 1]!));
    }
  }

  /** From `next` to `to` everything is of this kind. */
  push(to: number, kind: ExtentKind): void {
    const from = Math.max(this.next, this.#start);
    const until = Math.min(to, this.#end);
    this.next = to;
    if (until <= from) return;
    const last = this.#extents.at(-1);
    if (last?.kind === kind) last.length += until - from;
    else this.#extents.push({ offset: from, length: until - from, kind });
  }

  take(): Extent[] {
    return this.#extents;
  }
}

/** Extents of adjoining parts as one list. */
export function joinExtents(parts: readonly Extent[][]): Extent[] {
  const joined: Extent[] = [];
  for (const part of parts) {
    const [first, ...rest] = part;
    const last = joined.at(-1);
    if (first === undefined) continue;
    if (last?.kind === first.kind) last.length += first.length;
    else joined.push(first);
    for (const extent of rest) joined.push(extent);
  }
  return joined;
}

/** Dirty bitmap answers travel as extents too: `data` is changed. */
export function dirtyKind(flags: number): ExtentKind {
  return (flags & STATE_DIRTY) === 0 ? 'zero' : 'data';
}

/** The changed ranges among extents made with {@link dirtyKind}. */
export function changedRanges(extents: readonly Extent[]): Range[] {
  return extents.filter((extent) => extent.kind === 'data').map(({ offset, length }) => ({ offset, length }));
}
