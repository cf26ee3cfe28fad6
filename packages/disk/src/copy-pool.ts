import { Worker } from 'node:worker_threads';
import { GodwitError } from '@godwit/domain';
import type { CheckpointStore, LeafGroup } from './checkpoint-store.ts';
import type { CopyResult } from './copy.ts';
import type { CopyHooks, CopyJob } from './copy-job.ts';
import type { FromCopyThread, StoreCall, ToCopyThread } from './copy-messages.ts';

export interface CopyPoolOptions {
  /** Copies at once; more wait. Default 4. */
  threads?: number;
  /** How long an idle thread is kept for the next copy, ms. Default 10,000. */
  idleMs?: number;
}

/** JavaScript heap of one thread, MiB. Its disk buffers lie outside. */
const HEAP = { maxOldGenerationSizeMb: 48, maxYoungGenerationSizeMb: 2, stackSizeMb: 2 };
/** A canceled copy that has not ended by then is ended by force, ms; its intent protects what it wrote. */
const CANCEL_MS = 1_900;

/**
 * Runs copies in threads of their own, so that hashing and copying never hold up the event loop of the engine. Stores,
 * with their database connections, stay in this thread and are called from there.
 */
export class CopyPool {
  readonly #threads: number;
  readonly #idleMs: number;
  readonly #idle: { worker: Worker; timer: NodeJS.Timeout }[] = [];
  readonly #queue: (() => void)[] = [];
  readonly #running = new Set<Promise<unknown>>();
  #active = 0;
  #closed = false;

  constructor(options: CopyPoolOptions = {}) {
    this.#threads = options.threads ?? 4;
    this.#idleMs = options.idleMs ?? 10_000;
  }

  /**
   * {@link runCopyJob} in a thread. After `hooks.signal` aborts it rejects with CANCELED within 2 s. Progress comes at most
   * four times a second.
   *
   * @throws GodwitError as runCopyJob; INTERNAL when the thread dies
   */
  copy(job: CopyJob, hooks: CopyHooks): Promise<CopyResult> {
    const run = this.#run(job, hooks);
    this.#running.add(run);
    run.catch(() => undefined).finally(() => this.#running.delete(run));
    return run;
  }

  /** Waits for the running copies (cancel them first), then ends all threads. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#running);
    for (const { worker, timer } of this.#idle.splice(0)) {
      clearTimeout(timer);
      await worker.terminate();
    }
  }

  async #run(job: CopyJob, hooks: CopyHooks): Promise<CopyResult> {
    await this.#turn(hooks.signal, job.label ?? 'disk');
    try {
      const worker = this.#take();
      let sound = false;
      try {
        const result = await converse(worker, job, hooks);
        sound = true;
        return result;
      } catch (error) {
        sound = error instanceof GodwitError && error.code !== 'INTERNAL' && !(error instanceof ThreadKilled);
        throw error;
      } finally {
        if (sound && !this.#closed) this.#keep(worker);
        else await worker.terminate();
      }
    } finally {
      this.#active--;
      this.#queue.shift()?.();
    }
  }

  /** Waits until a thread is free. */
  async #turn(signal: AbortSignal, label: string): Promise<void> {
    if (signal.aborted || this.#closed) throw new GodwitError('CANCELED', label);
    if (this.#active < this.#threads) {
      this.#active++;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const go = () => {
        signal.removeEventListener('abort', onAbort);
        this.#active++;
        resolve();
      };
      const onAbort = () => {
        this.#queue.splice(this.#queue.indexOf(go), 1);
        reject(new GodwitError('CANCELED', label));
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#queue.push(go);
    });
  }

  #take(): Worker {
    const kept = this.#idle.pop();
    if (kept) {
      clearTimeout(kept.timer);
      kept.worker.ref();
      return kept.worker;
    }
    return new Worker(new URL('./copy-worker.ts', import.meta.url), { resourceLimits: HEAP });
  }

  #keep(worker: Worker): void {
    const timer = setTimeout(() => {
      this.#idle.splice(
        this.#idle.findIndex((entry) => entry.worker === worker),
        1,
      );
      void worker.terminate();
    }, this.#idleMs);
    timer.unref();
    worker.unref();
    this.#idle.push({ worker, timer });
  }
}

/** The thread was ended because it did not end by itself. */
class ThreadKilled extends GodwitError {}

function converse(worker: Worker, job: CopyJob, hooks: CopyHooks): Promise<CopyResult> {
  const { signal } = hooks;
  const label = job.label ?? 'disk';
  return new Promise((resolve, reject) => {
    let force: NodeJS.Timeout | undefined;
    const post = (message: ToCopyThread, transfer: ArrayBuffer[] = []) => worker.postMessage(message, transfer);
    const end = (settle: () => void) => {
      clearTimeout(force);
      signal.removeEventListener('abort', onAbort);
      worker.off('message', onMessage).off('error', onError).off('exit', onExit);
      settle();
    };
    const onAbort = () => {
      post({ kind: 'cancel' });
      force = setTimeout(() => end(() => reject(new ThreadKilled('CANCELED', label))), CANCEL_MS);
    };
    const onError = (error: Error) =>
      end(() =>
        reject(
          new GodwitError('INTERNAL', label, { reason: `the copy thread died: ${error.message}` }, { cause: error }),
        ),
      );
    const onExit = (code: number) => onError(new Error(`exit code ${code}`));
    const onMessage = (message: FromCopyThread) => {
      if (message.kind === 'call') void answer(post, hooks.store, message.id, message.call);
      else if (message.kind === 'progress') hooks.onProgress?.(message.progress);
      else if (message.kind === 'restart') hooks.onRestart?.(GodwitError.fromData(message.error));
      else if (message.kind === 'done') end(() => resolve(message.result));
      else end(() => reject(GodwitError.fromData(message.error)));
    };
    worker.on('message', onMessage).on('error', onError).on('exit', onExit);
    signal.addEventListener('abort', onAbort, { once: true });
    post({ kind: 'copy', job });
    if (signal.aborted) onAbort();
  });
}

async function answer(
  post: (message: ToCopyThread, transfer?: ArrayBuffer[]) => void,
  store: CheckpointStore,
  id: number,
  call: StoreCall,
): Promise<void> {
  try {
    if (call.method === 'readGroups') {
      const { groups, buffers } = detached(await store.readGroups(...call.args));
      post({ kind: 'answer', id, value: groups }, buffers);
    } else {
      post({ kind: 'answer', id, value: await callStore(store, call) });
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    post({
      kind: 'refusal',
      id,
      error: GodwitError.wrap(error, 'DATABASE_UNAVAILABLE', label(call), { reason }).toData(),
    });
  }
}

function label(call: StoreCall): string {
  return `checkpoint store (${call.method})`;
}

function callStore(store: CheckpointStore, call: Exclude<StoreCall, { method: 'readGroups' }>): Promise<unknown> {
  if (call.method === 'load') return store.load();
  if (call.method === 'changedGroups') return store.changedGroups(...call.args);
  return store.commit(...call.args);
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
