import { Worker } from 'node:worker_threads';
import { GodwitError } from '@godwit/domain';
import type { CheckpointStore, LeafGroup } from './checkpoint-store.ts';
import type { CopyResult } from './copy.ts';
import type { CopyHooks, CopyJob } from './copy-job.ts';
import type { FromCopyThread, StoreCall, ToCopyThread } from './copy-messages.ts';

/** JavaScript heap of one thread, MiB. Its disk buffers lie outside. */
const HEAP = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 2, stackSizeMb: 2 };
/** A canceled copy that has not ended by then is given up, ms; its intent protects what it wrote. */
const CANCEL_MS = 1_900;

/** A copy that runs in the thread. */
interface Running {
  label: string;
  hooks: CopyHooks;
  settle: (end: { result: CopyResult } | { error: GodwitError }) => void;
}

/**
 * The main thread's side of one copy thread. Copies in it share an event loop; their stores, with their database
 * connections, stay in the main thread and are called from there.
 */
export class CopyThread {
  readonly #worker: Worker;
  readonly #running = new Map<number, Running>();
  #last = 0;
  #sound = true;
  #ended = false;

  constructor() {
    this.#worker = new Worker(new URL('./copy-worker.ts', import.meta.url), { resourceLimits: HEAP });
    this.#worker.on('message', (message: FromCopyThread) => this.#received(message));
    this.#worker.on('error', (error) => this.#died(error));
    this.#worker.on('exit', (code) => this.#died(new Error(`exit code ${code}`)));
  }

  /** Copies running. */
  get load(): number {
    return this.#running.size;
  }

  /** False: it must get no more copies, and ends with its last one. */
  get sound(): boolean {
    return this.#sound;
  }

  copy(job: CopyJob, hooks: CopyHooks): Promise<CopyResult> {
    const { signal } = hooks;
    const copy = ++this.#last;
    const label = job.label ?? 'disk';
    if (this.#running.size === 0) this.#worker.ref();
    return new Promise((resolve, reject) => {
      let patience: NodeJS.Timeout | undefined;
      const onAbort = () => {
        this.#post({ kind: 'cancel', copy });
        patience = setTimeout(() => {
          this.#sound = false;
          this.#running.get(copy)?.settle({ error: new GodwitError('CANCELED', label) });
        }, CANCEL_MS);
      };
      const settle: Running['settle'] = (end) => {
        clearTimeout(patience);
        signal.removeEventListener('abort', onAbort);
        this.#running.delete(copy);
        if (this.#running.size === 0) this.#idle();
        if ('result' in end) resolve(end.result);
        else reject(end.error);
      };
      this.#running.set(copy, { label, hooks, settle });
      signal.addEventListener('abort', onAbort, { once: true });
      this.#post({ kind: 'copy', copy, job });
      if (signal.aborted) onAbort();
    });
  }

  /** Ends the thread, whatever runs in it. Idempotent. */
  async end(): Promise<void> {
    this.#sound = false;
    this.#ended = true;
    await this.#worker.terminate();
  }

  #idle(): void {
    this.#worker.unref();
    if (!this.#sound && !this.#ended) void this.end();
  }

  #post(message: ToCopyThread, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  #received(message: FromCopyThread): void {
    const running = this.#running.get(message.copy);
    if (message.kind === 'call') {
      // A copy that was given up must not commit any more: its successor may be at work.
      if (running) void this.#answer(running.hooks.store, message.call, message.what);
    } else if (message.kind === 'progress') {
      running?.hooks.onProgress?.(message.progress);
    } else if (message.kind === 'restart') {
      running?.hooks.onRestart?.(GodwitError.fromData(message.error));
    } else if (message.kind === 'done') {
      running?.settle({ result: message.result });
    } else {
      running?.settle({ error: GodwitError.fromData(message.error) });
    }
  }

  #died(cause: Error): void {
    this.#sound = false;
    this.#ended = true;
    for (const { label, settle } of [...this.#running.values()]) {
      const reason = `the copy thread died: ${cause.message}`;
      settle({ error: new GodwitError('INTERNAL', label, { reason }, { cause }) });
    }
  }

  async #answer(store: CheckpointStore, call: number, what: StoreCall): Promise<void> {
    try {
      if (what.method === 'readGroups') {
        const { groups, buffers } = detached(await store.readGroups(...what.args));
        this.#post({ kind: 'answer', call, value: groups }, buffers);
      } else {
        this.#post({ kind: 'answer', call, value: await callStore(store, what) });
      }
    } catch (error) {
      const refusal = GodwitError.wrap(error, 'DATABASE_UNAVAILABLE', `checkpoint store (${what.method})`);
      this.#post({ kind: 'refusal', call, error: refusal.toData() });
    }
  }
}

function callStore(store: CheckpointStore, what: Exclude<StoreCall, { method: 'readGroups' }>): Promise<unknown> {
  if (what.method === 'load') return store.load();
  if (what.method === 'changedGroups') return store.changedGroups(...what.args);
  return store.commit(...what.args);
}

/** Copies of the groups in buffers of their own: a view into a larger buffer would take all of that along. */
function detached(groups: readonly LeafGroup[]): { groups: LeafGroup[]; buffers: ArrayBuffer[] } {
  const buffers: ArrayBuffer[] = [];
  const own = (bytes: Uint8Array) => {
    const copy = new Uint8Array(bytes);
    buffers.push(copy.buffer);
    return copy;
  };
  const copies = groups.map((group) => ({
    ...group,
    leaves: own(group.leaves),
    changedMask: own(group.changedMask),
  }));
  return { groups: copies, buffers };
}
