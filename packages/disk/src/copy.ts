import { GodwitError } from '@godwit/domain';
import { BufferPool } from './buffer-pool.ts';
import type { Audit, CandidateRules } from './candidates.ts';
import type { CheckpointStore, CopyCounters, CopyPass } from './checkpoint-store.ts';
import { beginCopy, type CopyBegin } from './copy-begin.ts';
import { runPass } from './copy-pass.ts';
import { verifyCopy } from './copy-verify.ts';
import { defaultWindowLimits, type WindowLimits } from './copy-window.ts';
import type { Disk } from './disk.ts';
import { GroupRoots } from './group-roots.ts';
import { InFlight, type InFlightLimits } from './in-flight.ts';

/** How much of the target is re-read afterwards. `changed`: what was changed since the last complete run. */
export type Verify = 'none' | 'changed' | 'whole';

/** What a copy is to do. Plain JSON. */
export interface CopyPlan {
  /** `changed`: the source's change tracker answers for the time since the last complete run. `compare`: look at everything. */
  mode: CopyPass;
  audit: Audit;
  verify: Verify;
  /** Number of the execution, 1 and up; above that of the last complete run. */
  executionNumber: number;
  /** Names the frozen state of the source. A copy goes on in the middle only under the same key and execution. */
  snapshotKey: string;
  /** The target was just made and reads as zeroes throughout. Looked at only when no copy of this disk has ever begun. */
  targetZeroed: boolean;
  /** Bytes of the source disk. Default: what the opened source says (which some servers round up). */
  size?: number;
}

export interface CopyLimits {
  /** Bytes of buffers in all. Default 16 MiB; a far target needs rate times round trip. Range 512 KiB to 64 MiB. */
  bufferBytes?: number;
  /** Chunks in flight at the start. Default 8; 32 when one of the disks is 10 ms away or more. */
  startInFlight?: number;
  /** What an interruption can cost and how much a commit says; see {@link WindowLimits}. Smaller: more commits. */
  window?: Partial<WindowLimits>;
}

/** Where a copy is. At most four a second. */
export interface CopyProgress {
  phase: 'copy' | 'verify';
  /** Bytes of the disk decided in this phase: sent, made zero, or found equal. */
  doneBytes: number;
  totalBytes: number;
  counters: CopyCounters;
}

export interface CopyRequest {
  source: Disk;
  /** A promise: candidates are looked for, and audits made, until it is open. */
  target: Disk | Promise<Disk>;
  store: CheckpointStore;
  plan: CopyPlan;
  limits?: CopyLimits;
  /** The disk, for errors: `disk vda of web01`. */
  label?: string;
  /** Ends the copy within 2 s with CANCELED; finished work is committed where that is possible. */
  signal?: AbortSignal;
  onProgress?: (progress: CopyProgress) => void;
  /** ms; only differences matter. Default: performance.now. */
  clock?: () => number;
}

export interface CopyResult {
  /** Bytes proven; the target may be larger. */
  size: number;
  leafCount: number;
  /** Merkle roots, 32 bytes. The target's is null when nothing was to be verified. They are equal, or the copy had rejected. */
  sourceRoot: Uint8Array;
  targetRoot: Uint8Array | null;
  counters: CopyCounters;
  /** Leaves whose digest was carried over from earlier runs, unread in this one. */
  leavesCarried: number;
  /** How the last pass looked for candidates. */
  pass: CopyPass;
  /**
   * First byte at which the change tracker missed a change, or the source's side told a wrong digest, or null. The disk was
   * then read in full and is right.
   */
  trackerLied: number | null;
}

/** Chunks in flight that fill a local link. */
const LEAST_IN_FLIGHT = 8;
/** Round trip from which on the first chunks are not held back until it is known what the path carries, ms. */
const FAR_MS = 10;
const FAR_START = 32;
/** Time between two calls of onProgress, ms. */
const PROGRESS_MS = 250;

/**
 * Brings the target to the state of the frozen source, sending only what differs from what the target is known to hold, and
 * proves it. May be killed at any moment and called again with the same store: see docs/design/spine.md, "The copy, and
 * why it cannot lose a write".
 *
 * A retryable rejection (lost connection, refused flush, failed read or write, store away) leaves a consistent store: open
 * the disks anew and call it again.
 *
 * @throws GodwitError CANCELED, FENCED, TARGET_TOO_SMALL, DISK_SHRANK, VERIFY_MISMATCH (the differing leaves are unknown
 *   in the store: the next copy sends them), and what the disks and the store throw
 */
export async function copyDisk(request: CopyRequest): Promise<CopyResult> {
  const pool = new BufferPool(request.limits?.bufferBytes ?? 16_777_216);
  try {
    return await copyWithin(pool, request);
  } finally {
    pool.end();
  }
}

async function copyWithin(pool: BufferPool, request: CopyRequest): Promise<CopyResult> {
  const { source, store, plan } = request;
  const label = request.label ?? 'disk';
  const signal = request.signal ?? new AbortController().signal;
  const clock = request.clock ?? (() => performance.now());
  const tell = throttled(request.onProgress, clock);
  const opening = Promise.resolve(request.target);
  // Whoever waits for it first takes its failure up.
  opening.catch(() => undefined);
  if (signal.aborted) throw new GodwitError('CANCELED', label, {}, { cause: signal.reason });

  for (let attempt = 1; ; attempt++) {
    const begin = await beginCopy(store, plan, source.size, label);
    const totalBytes = begin.layout.size;
    const roots = new GroupRoots(store, begin.layout, begin.touched, plan.verify === 'none');
    // A first run leaves no group alone but those without a row, and a whole verification needs the digests themselves.
    if (plan.verify === 'none' || (begin.complete && plan.verify !== 'whole')) void roots.gather();
    const inFlight = new InFlight(flightLimits(request, [source]), clock());
    const opened = opening.then((disk) => {
      const [needed, available] = [begin.layout.size, disk.size];
      if (available < needed) throw new GodwitError('TARGET_TOO_SMALL', label, { needed, available });
      inFlight.extend(flightLimits(request, [source, disk]));
      return disk;
    });
    const end = await runPass({
      ...begin,
      roots,
      label,
      source,
      target: opened,
      store,
      rules: candidateRules(plan, begin),
      pool,
      window: { ...defaultWindowLimits, ...request.limits?.window },
      inFlight,
      clock,
      signal,
      onProgress: (doneBytes, counters) => tell({ phase: 'copy', doneBytes, totalBytes, counters }),
    }).finally(() => roots.stop());
    if (end.kind !== 'done') continue;
    const target = await opened;
    const proof = await verifyCopy({
      label,
      target,
      store,
      layout: begin.layout,
      complete: begin.complete,
      roots,
      progress: end.progress,
      verify: plan.verify,
      pool,
      inFlight: new InFlight(flightLimits(request, [source, target]), clock()),
      clock,
      signal,
      onProgress: (doneBytes, counters) => tell({ phase: 'verify', doneBytes, totalBytes, counters }),
    });
    if (proof.kind === 'unknown') {
      // No candidate rule may leave an unknown leaf behind; if one did, everything is looked at before anybody is told "complete".
      if (attempt > 3) throw new GodwitError('INTERNAL', label, { reason: `leaf ${proof.leaf} stays unknown` });
      continue;
    }
    const { counters } = proof;
    return {
      size: totalBytes,
      leafCount: begin.layout.leafCount,
      sourceRoot: proof.sourceRoot,
      targetRoot: proof.targetRoot,
      counters,
      leavesCarried: begin.layout.leafCount - counters.leavesRead - counters.leavesHashed - counters.leavesZero,
      pass: end.progress.pass,
      trackerLied: end.progress.trackerLied,
    };
  }
}

/** @param disks those that are open */
function flightLimits(request: CopyRequest, disks: readonly Disk[]): InFlightLimits {
  const most = Math.min(64, Math.max(1, ...disks.map((disk) => disk.maxInFlight)));
  const far = Math.max(...disks.map((disk) => disk.roundTripMs ?? 0)) >= FAR_MS;
  const start = request.limits?.startInFlight ?? (far ? FAR_START : LEAST_IN_FLIGHT);
  return { least: LEAST_IN_FLIGHT, start, most, sampleMs: 25 };
}

/** The tracker is asked in a `changed` pass, and beside a full one where it is to be audited. */
function candidateRules(plan: CopyPlan, begin: CopyBegin): CandidateRules | null {
  if (plan.mode !== 'changed' || !begin.complete) return null;
  return {
    touched: begin.touched,
    completeSize: begin.complete.size,
    audit: begin.progress.pass === 'compare' ? 'whole' : plan.audit,
    executionNumber: plan.executionNumber,
  };
}

function throttled(
  onProgress: ((progress: CopyProgress) => void) | undefined,
  clock: () => number,
): (progress: CopyProgress) => void {
  if (!onProgress) return () => undefined;
  let next = Number.NEGATIVE_INFINITY;
  return (progress) => {
    const now = clock();
    if (now < next) return;
    next = now + PROGRESS_MS;
    onProgress({ ...progress, counters: { ...progress.counters } });
  };
}
