import { randomUUID } from 'node:crypto';
import { type Disk, openDisk } from '@godwit/disk';
import { type ErrorCode, GodwitError, type JsonObject } from '@godwit/domain';
import type {
  OpenDisks,
  Provider,
  ProviderContext,
  Snapshot,
  SnapshotRequest,
  SourceProvider,
  TargetProvider,
} from '../provider.ts';
import { LedgerRecorder } from './ledger-recorder.ts';
import type { ConformanceSubject, SubjectInstance } from './subject.ts';

/** Makes the context of one call; `connectionInfo` replaces the endpoint's own. */
export type ContextFactory = (overrides: { signal: AbortSignal; connectionInfo?: JsonObject }) => ProviderContext;

export interface ConformanceOptions {
  /** Instance to take snapshots of. Default: the subject's; with neither, what needs one does not apply. */
  instance?: string;
  /** Allows to create disks and an instance that is never started, and to remove them again. Default false. */
  scratch?: boolean;
  sourceEnvironment?: JsonObject;
  destinationEnvironment?: JsonObject;
  /** Network of the platform for the NIC of the scratch instance. Default: it has no NIC. */
  network?: string;
  /** Only for a platform made for the test. */
  subject?: ConformanceSubject;
  /** Seconds within which a cancel must be honoured. Default 2, as the contract says. */
  cancelSeconds?: number;
  /** Runs only checks whose name contains it. */
  only?: string;
  /** Runs only checks that need one of these: the parts of a slow platform side by side. Default: all. */
  needs?: readonly Check['needs'][];
  signal?: AbortSignal;
}

/** Thrown by a check that has nothing to check here. */
export class NotApplicable extends Error {}

/** One check: a sentence of behaviour that holds or not. */
export interface Check {
  name: string;
  /**
   * `endpoint`: reads lists only; `instance`: takes snapshots of one; `scratch`: creates and removes disks of its own;
   * `deployment`: instances of such disks too.
   */
  needs: 'endpoint' | 'instance' | 'scratch' | 'deployment';
  /** @returns what was seen, for people; throws {@link NotApplicable} or whatever is wrong */
  run(bench: Bench): Promise<string>;
}

/** What checks work with. */
export class Bench {
  readonly provider: Provider;
  readonly options: ConformanceOptions;
  readonly signal: AbortSignal;
  readonly #makeContext: ContextFactory;
  readonly #recorders: LedgerRecorder[] = [];
  readonly #run = randomUUID().slice(0, 8);
  #recorder: LedgerRecorder | null = null;
  #subjectInstance: Promise<SubjectInstance> | null = null;
  #keys = 0;

  constructor(provider: Provider, makeContext: ContextFactory, options: ConformanceOptions) {
    this.provider = provider;
    this.#makeContext = makeContext;
    this.options = options;
    this.signal = options.signal ?? new AbortController().signal;
  }

  /** A context as a task has it; everything announced in it is remembered. */
  context(overrides: { signal?: AbortSignal; connectionInfo?: JsonObject } = {}): ProviderContext {
    const inner = this.#makeContext({ signal: this.signal, ...overrides });
    if (this.#recorder === null) {
      this.#recorder = new LedgerRecorder(inner.ledger);
      this.#recorders.push(this.#recorder);
    }
    return { ...inner, ledger: this.#recorder };
  }

  /** Fit for a snapshot's or a request's key; never the same. */
  key(): string {
    this.#keys++;
    return `check-${this.#run}-${this.#keys}`;
  }

  get source(): SourceProvider {
    if (this.provider.source === undefined) throw new NotApplicable('this provider is no source');
    return this.provider.source;
  }

  get target(): TargetProvider {
    if (this.provider.target === undefined) throw new NotApplicable('this provider is no target');
    return this.provider.target;
  }

  get subject(): ConformanceSubject {
    if (this.options.subject === undefined) throw new NotApplicable('only on a platform made for the test');
    return this.options.subject;
  }

  /** The test platform's instance, made on first use. */
  subjectInstance(): Promise<SubjectInstance> {
    this.#subjectInstance ??= this.subject.makeInstance();
    return this.#subjectInstance;
  }

  /** Id of the instance to take snapshots of. */
  async instanceId(): Promise<string> {
    if (this.options.instance !== undefined) return this.options.instance;
    if (this.options.subject === undefined) throw new NotApplicable('no instance was named');
    return (await this.subjectInstance()).id;
  }

  get sourceEnvironment(): JsonObject {
    return this.options.sourceEnvironment ?? {};
  }

  async snapshotRequest(key: string, tokens: Record<string, string | null> = {}): Promise<SnapshotRequest> {
    return { key, instance: await this.instanceId(), environment: this.sourceEnvironment, tokens, resume: false };
  }

  /** Takes a snapshot, works with it and releases it whatever happens. */
  async withSnapshot<T>(
    work: (snapshot: Snapshot, ctx: ProviderContext) => Promise<T>,
    tokens: Record<string, string | null> = {},
    keepToken = false,
  ): Promise<T> {
    const ctx = this.context();
    const snapshot = await this.source.snapshot(ctx, await this.snapshotRequest(this.key(), tokens));
    try {
      return await work(snapshot, ctx);
    } finally {
      await this.source.release(ctx, snapshot, keepToken);
    }
  }

  /** What was announced since the start and is not gone. */
  live(): ReturnType<LedgerRecorder['live']> {
    return this.#recorders.flatMap((recorder) => recorder.live());
  }

  /** Those of them that were handed over to the user. */
  handedOver(): ReturnType<LedgerRecorder['handedOver']> {
    return this.#recorders.flatMap((recorder) => recorder.handedOver());
  }

  /** Removes what a check left, as the reaper would. */
  async reap(): Promise<void> {
    const ctx = this.context();
    for (const entry of this.live()) {
      await this.provider.remove(ctx, entry);
      await ctx.ledger.removed(entry.kind, entry.name);
    }
  }

  /** Everything on the platform, where that can be told. */
  async everything(): Promise<string[] | null> {
    return (await this.options.subject?.listEverything())?.sort() ?? null;
  }
}

/** @throws Error with the message when it does not hold */
export function ensure(holds: boolean, message: string): asserts holds {
  if (!holds) throw new Error(message);
}

/** Waits for a rejection with one of the codes. */
export async function ensureRejects(
  work: Promise<unknown>,
  codes: readonly ErrorCode[],
  what: string,
): Promise<string> {
  let seen: unknown;
  try {
    await work;
  } catch (error) {
    seen = error;
  }
  ensure(seen !== undefined, `${what}: was not refused, expected ${codes.join(' or ')}`);
  ensure(seen instanceof GodwitError, `${what}: rejected with ${String(seen)}, which is no GodwitError`);
  ensure(
    codes.includes(seen.code),
    `${what}: refused with ${seen.code} (${seen.message}), expected ${codes.join(' or ')}`,
  );
  return seen.code;
}

/** Opens one disk of many, works with it and closes all. */
export async function withDisk<T>(
  opening: Promise<OpenDisks>,
  id: string,
  work: (disk: Disk) => Promise<T>,
): Promise<T> {
  const opened = await opening;
  try {
    return await withServed(opened, id, work);
  } finally {
    await opened.close();
  }
}

/** Opens disks together, works with one after the other and closes all. */
export async function withDisks(
  opening: Promise<OpenDisks>,
  ids: readonly string[],
  work: (disk: Disk, id: string) => Promise<void>,
): Promise<void> {
  const opened = await opening;
  try {
    for (const id of ids) await withServed(opened, id, (disk) => work(disk, id));
  } finally {
    await opened.close();
  }
}

async function withServed<T>(opened: OpenDisks, id: string, work: (disk: Disk) => Promise<T>): Promise<T> {
  const address = opened.addresses[id];
  ensure(address !== undefined, `no address for disk ${id}`);
  const disk = await openDisk(address, { label: `disk ${id}` });
  try {
    return await work(disk);
  } finally {
    await disk.close();
  }
}

/** Bytes of a range. */
export async function bytesOf(disk: Disk, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await disk.read(offset, bytes);
  return bytes;
}

/** The same bytes for the same seed, none of them zero. */
export function pattern(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = (seed * 2_654_435_761) >>> 0 || 1;
  for (let index = 0; index < length; index++) {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    bytes[index] = (state & 0xff) | 1;
  }
  return bytes;
}

export function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
