// Over 400 lines: one state machine; its parts (window, planner, items, record) are files of their own already.
import { GodwitError } from '@godwit/domain';
import type { BufferPool } from './buffer-pool.ts';
import type { CandidateRules } from './candidates.ts';
import { addCounters, type CheckpointStore, type CopyCounters, type ReplicaProgress } from './checkpoint-store.ts';
import type { CopyBegin } from './copy-begin.ts';
import { GroupCache } from './copy-group-cache.ts';
import { ItemWork } from './copy-item.ts';
import { type CopyItem, planCopy, TrackerSilent } from './copy-planner.ts';
import { CopyRecord } from './copy-record.ts';
import { CopyWindow, type WindowCheckpoint, type WindowLimits } from './copy-window.ts';
import { CHUNK_SIZE, type Disk, LEAF_SIZE } from './disk.ts';
import type { GroupRoots } from './group-roots.ts';
import type { InFlight } from './in-flight.ts';

/** Longest time between two checkpoints while something is finished, ms. */
const CHECKPOINT_MS = 1_000;
/** Time that requests in flight get to end by themselves when a pass is stopped, ms; then they are aborted. */
const GRACE_MS = 700;
/** Time that aborted requests, and the last flush, get, ms. */
const ABORT_MS = 400;

/** Small items in flight for each request that a disk finds worthwhile: over a long link 64 of 64 KiB fill nothing. */
const ITEMS_PER_REQUEST = 4;
/** Chunks that audits of a near source keep in flight: enough to read it while the others wait for the target. */
const AUDITS_IN_FLIGHT = 4;
/** Round trip from which on a source counts as far: audits then get half of what is in flight, ms. */
const FAR_MS = 10;

/** What one pass works with. `progress`, `marks` and `redo` are its beginning. */
export interface PassInput extends CopyBegin {
  /** The disk, in errors. */
  label: string;
  source: Disk;
  /** Nothing is intended before it is open. */
  target: Promise<Disk>;
  store: CheckpointStore;
  roots: GroupRoots;
  rules: CandidateRules | null;
  pool: BufferPool;
  inFlight: InFlight;
  window: WindowLimits;
  /** ms; only differences matter. */
  clock: () => number;
  signal: AbortSignal;
  /** Called when something was finished: bytes of the disk decided so far, and what that took. */
  onProgress: (doneBytes: number, counters: CopyCounters) => void;
}

/** How a pass ended: `done`, or why it has to start again over everything. */
export interface PassEnd {
  kind: 'done' | 'tracker lied' | 'tracker silent';
  progress: ReplicaProgress;
}

/**
 * One pass over the candidates: plans, reads, compares, writes, and commits checkpoints meanwhile.
 *
 * @throws the first failure, after everything in flight has ended and what was finished is committed where that is possible
 */
export function runPass(input: PassInput): Promise<PassEnd> {
  return new Pass(input).run();
}

class Pass {
  readonly #in: PassInput;
  readonly #window: CopyWindow<CopyItem>;
  readonly #cache: GroupCache;
  readonly #record: CopyRecord;
  readonly #work: ItemWork;
  readonly #io = new AbortController();
  #maxItems = 0;
  /** The target is open. */
  #opened = false;
  #weight = 0;
  #auditWeight = 0;
  #committing: Promise<void> | null = null;
  #lastRecord: number;
  /** The flush under way, or done and not yet recorded: how many items of the finished prefix it covers. */
  #flush: { count: number; began: number; done: boolean } | null = null;
  /** How long the last flush and the commit of what it covered took, ms. */
  #recordMs = 0;
  #planner: 'running' | 'blocked' | 'done' = 'running';
  #wakePlanner: (() => void) | null = null;
  #liedAt: number | null;
  #falseHash = false;
  #silent = false;
  #stopping = false;
  #failure: { error: unknown; atStore: boolean } | null = null;
  #grace: NodeJS.Timeout | undefined;
  #wake: (() => void) | null = null;
  #woken = false;
  #immediate = false;

  constructor(input: PassInput) {
    this.#in = input;
    this.#liedAt = input.progress.trackerLied;
    this.#window = new CopyWindow<CopyItem>(input.progress.lowWater, input.window);
    this.#cache = new GroupCache(input.store, input.layout, input.progress.zeroedEnd);
    this.#record = new CopyRecord({ ...input, cache: this.#cache });
    this.#work = new ItemWork({
      ...input,
      signal: this.#io.signal,
      believeHashes: this.#liedAt === null,
      onMissed: (offset) => this.#missed(offset),
      onFalseHash: (offset) => this.#toldFalsely(offset),
    });
    this.#lastRecord = input.clock();
  }

  async run(): Promise<PassEnd> {
    const { signal } = this.#in;
    const onAbort = () => this.#fail(new GodwitError('CANCELED', this.#in.label, {}, { cause: signal.reason }), false);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    const timer = setInterval(() => this.#rouse(), CHECKPOINT_MS / 4);
    this.#open();
    const planning = this.#plan();
    try {
      while (!this.#stopping && !this.#finished()) {
        this.#issue();
        this.#checkpointWhenDue();
        await this.#sleep();
      }
      this.#stopping = true;
      this.#wakePlanner?.();
      await this.#drain(planning);
      return await this.#end();
    } finally {
      clearInterval(timer);
      clearTimeout(this.#grace);
      signal.removeEventListener('abort', onAbort);
    }
  }

  #open(): void {
    const { source, target } = this.#in;
    target.then(
      (disk) => {
        this.#maxItems = ITEMS_PER_REQUEST * Math.max(8, source.maxInFlight, disk.maxInFlight);
        this.#opened = true;
        this.#rouse();
      },
      (error) => this.#fail(error, false),
    );
  }

  /** Nothing is left to plan, to look at or to write; the last flush and the last commit are the caller's. */
  #finished(): boolean {
    const { inFlightCount, auditCount } = this.#window;
    return this.#wroteAll() && inFlightCount === 0 && auditCount === 0 && !this.#committing && !this.#isFlushing();
  }

  /** Only audits may still be under way. */
  #wroteAll(): boolean {
    return this.#opened && this.#planner === 'done' && this.#window.allWritten;
  }

  async #end(): Promise<PassEnd> {
    const failure = this.#failure;
    if (failure?.atStore) throw failure.error;
    const lied = this.#falseHash || (this.#in.progress.pass === 'changed' && this.#liedAt !== null);
    const again = this.#silent || lied;
    // A commit or flush that hangs leaves its intent behind; nothing to add.
    if (failure && (this.#committing || this.#isFlushing() || !this.#opened)) throw failure.error;
    const last = this.#recordLast(!failure && again, failure ? AbortSignal.timeout(ABORT_MS) : this.#in.signal);
    if (!failure) {
      await last;
      return {
        kind: this.#silent ? 'tracker silent' : again ? 'tracker lied' : 'done',
        progress: this.#record.progress,
      };
    }
    // What fails here costs a resume from the checkpoint before; the failure to report is the first one.
    await last.catch(() => undefined);
    throw failure.error;
  }

  async #recordLast(again: boolean, signal: AbortSignal): Promise<void> {
    const items = this.#window.coveredItems();
    await this.#flushTarget(items, signal);
    await this.#commit(this.#window.checkpoint('last', items.length), again);
  }

  #isFlushing(): boolean {
    return this.#flush !== null && !this.#flush.done;
  }

  async #plan(): Promise<void> {
    const { source, rules, progress, layout } = this.#in;
    const steps = planCopy({
      source,
      layout,
      cache: this.#cache,
      pass: progress.pass,
      rules,
      from: progress.lowWater,
      signal: this.#io.signal,
    });
    try {
      for await (const step of steps) {
        if (this.#stopping) return;
        if (step.kind === 'advance') {
          this.#window.advance(step.leaf);
          this.#tell();
        } else if (step.kind === 'skip') {
          this.#record.skip(step.run);
          this.#window.advance(step.run.first + step.run.count);
        } else {
          while (!this.#window.hasRoom(step.item) && !this.#stopping) await this.#room();
          if (this.#stopping) return;
          this.#record.takeSkips(step.item);
          this.#window.plan(step.item);
        }
        this.#rouseLater();
      }
    } catch (error) {
      if (error instanceof TrackerSilent) {
        this.#silent = true;
        this.#stopping = true;
      } else {
        this.#fail(error, false);
      }
    } finally {
      this.#planner = 'done';
      this.#rouse();
    }
  }

  async #room(): Promise<void> {
    this.#planner = 'blocked';
    this.#rouse();
    await new Promise<void>((resolve) => {
      this.#wakePlanner = resolve;
    });
    this.#wakePlanner = null;
    this.#planner = 'running';
  }

  #issue(): void {
    const { inFlight, pool } = this.#in;
    this.#issueAudits();
    for (let item = this.#window.peek(); item; item = this.#window.peek()) {
      const weight = item.kind === 'read' ? item.bytes / CHUNK_SIZE : 1;
      const full = this.#weight > 0 && this.#weight + weight > inFlight.limit;
      const buffer =
        full || this.#window.inFlightCount >= this.#maxItems
          ? undefined
          : item.kind === 'read'
            ? pool.take(item.bytes)
            : null;
      if (buffer === undefined) {
        inFlight.held();
        return;
      }
      this.#window.next();
      this.#weight += weight;
      this.#begin(item, buffer, () => {
        this.#weight -= weight;
      });
    }
  }

  /** Audits have a share of their own: they neither wait behind writes to a far target nor hold them up. */
  #issueAudits(): void {
    const { inFlight, pool, source } = this.#in;
    const far = (source.roundTripMs ?? 0) >= FAR_MS;
    const most = Math.max(AUDITS_IN_FLIGHT, far ? inFlight.limit / 2 : 0);
    for (let item = this.#window.peekAudit(); item && this.#auditWeight < most; item = this.#window.peekAudit()) {
      const buffer = pool.take(item.bytes);
      if (buffer === undefined) return;
      const weight = item.bytes / CHUNK_SIZE;
      this.#window.nextAudit();
      this.#auditWeight += weight;
      this.#begin(item, buffer, () => {
        this.#auditWeight -= weight;
      });
    }
  }

  #begin(item: CopyItem, buffer: Uint8Array | null, settle: () => void): void {
    this.#work
      .do(item, buffer && Buffer.from(buffer.buffer, buffer.byteOffset, item.bytes))
      .then(
        () => this.#itemDone(item),
        (error) => this.#fail(error, false),
      )
      .finally(() => {
        settle();
        if (buffer) this.#in.pool.give(buffer);
        this.#rouse();
      });
  }

  #itemDone(item: CopyItem): void {
    this.#window.finish(item);
    addCounters(this.#record.live, item.done);
    this.#tell();
  }

  #tell(): void {
    this.#in.onProgress(Math.min(this.#in.layout.size, this.#window.doneLeaf * LEAF_SIZE), this.#record.live);
  }

  /** The tracker missed a change. When only a sample is looked at, the pass ends here and starts again over everything. */
  #missed(offset: number): void {
    this.#liedAt = Math.min(offset, this.#liedAt ?? offset);
    if (this.#in.progress.pass === 'changed') this.#stopping = true;
  }

  /** Digests told by the source's side are of no use: the pass ends here and starts again, reading everything. */
  #toldFalsely(offset: number): void {
    this.#liedAt = Math.min(offset, this.#liedAt ?? offset);
    this.#falseHash = true;
    this.#stopping = true;
  }

  /**
   * Begins what is due: a flush of what is finished; a commit that records what the last flush covered; a commit that
   * intends what is planned. Commits never overlap; a flush runs beside those that intend, for over a long link it takes
   * as long as many of them.
   */
  #checkpointWhenDue(): void {
    const window = this.#window;
    if (this.#flush === null && this.#isDue()) this.#beginFlush();
    if (this.#committing || !this.#opened) return;
    // What the last flush covered is recorded by the last commit, unless audits take long.
    const flushed = this.#flush?.done && (!this.#wroteAll() || this.#isLate()) ? this.#flush : null;
    const starving = window.plannedCount > 0 && window.issuableCount <= Math.max(16, 2 * this.#in.inFlight.limit);
    if (!flushed && !starving) return;
    const checkpoint = flushed ? window.checkpoint('both', flushed.count) : window.checkpoint('intend');
    this.#committing = this.#commit(checkpoint, false)
      .then(() => {
        if (flushed) this.#recordMs = this.#in.clock() - flushed.began;
      })
      .catch((error) => this.#fail(error, true))
      .finally(() => {
        if (flushed) this.#flush = null;
        this.#committing = null;
        this.#wakePlanner?.();
        this.#rouse();
      });
  }

  #isDue(): boolean {
    const window = this.#window;
    const blocked = this.#planner === 'blocked' && window.recordableCount * 2 >= window.count;
    return window.recordableBytes >= this.#enough() || blocked || this.#isLate() || this.#wroteAll();
  }

  #isLate(): boolean {
    return this.#window.recordableCount > 0 && this.#in.clock() - this.#lastRecord >= CHECKPOINT_MS;
  }

  #beginFlush(): void {
    const items = this.#window.coveredItems();
    const flush = { count: items.length, began: this.#in.clock(), done: false };
    this.#flush = flush;
    this.#flushTarget(items, this.#io.signal).then(
      () => {
        flush.done = true;
        this.#rouse();
      },
      (error) => {
        this.#flush = null;
        // A refused flush may have dropped writes: nothing since the last commit may be recorded, whatever a second says.
        this.#fail(error, true);
      },
    );
  }

  async #flushTarget(items: readonly CopyItem[], signal: AbortSignal): Promise<void> {
    const written = items.filter((item) => item.wrote);
    if (written.length === 0) return;
    // The last flush takes a while: what will be recorded after it can be hashed meanwhile.
    if (this.#wroteAll()) void this.#in.roots.foresee(this.#record.foreseen(items));
    const target = await this.#in.target;
    await target.flush(signal);
    for (const item of written) item.wrote = false;
  }

  /**
   * Finished bytes that are worth a checkpoint: half the window, so that the other half is copied meanwhile; less where the
   * other half would be copied before the checkpoint is through, as over a long link.
   */
  #enough(): number {
    const { inFlight, window } = this.#in;
    const meanwhile = inFlight.rate('write') * this.#recordMs + this.#weight * CHUNK_SIZE;
    return Math.min(window.bytes / 2, Math.max(window.bytes / 8, window.bytes - meanwhile));
  }

  async #commit(checkpoint: WindowCheckpoint<CopyItem>, again: boolean): Promise<void> {
    await this.#record.commit(checkpoint, { trackerLied: this.#liedAt, again, frontier: this.#window.frontier });
    if (checkpoint.finished.length > 0) this.#lastRecord = this.#in.clock();
    this.#window.committed();
  }

  /** Waits until nothing is in flight. What still hangs after it was aborted stays intended. */
  async #drain(planning: Promise<void>): Promise<void> {
    const idle = async () => {
      await planning;
      await this.#committing;
      while (this.#weight > 0 || this.#auditWeight > 0 || this.#isFlushing()) await this.#sleep();
    };
    const hung = new Promise<void>((resolve) => {
      this.#io.signal.addEventListener('abort', () => setTimeout(resolve, ABORT_MS), { once: true });
    });
    await Promise.race([idle(), hung]);
  }

  #fail(error: unknown, atStore: boolean): void {
    this.#failure ??= { error, atStore };
    if (atStore) this.#failure.atStore = true;
    this.#stopping = true;
    this.#grace ??= setTimeout(() => this.#io.abort(), GRACE_MS);
    this.#rouse();
  }

  #rouse(): void {
    if (this.#wake) this.#wake();
    else this.#woken = true;
  }

  /** Lets a planner that needs no I/O go on to its end first, so that one commit intends all it found. */
  #rouseLater(): void {
    if (this.#immediate) return;
    this.#immediate = true;
    setImmediate(() => {
      this.#immediate = false;
      this.#rouse();
    });
  }

  async #sleep(): Promise<void> {
    if (!this.#woken) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#wake = null;
    this.#woken = false;
  }
}
