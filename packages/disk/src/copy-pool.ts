import { availableParallelism } from 'node:os';
import { GodwitError } from '@godwit/domain';
import type { CopyResult } from './copy.ts';
import type { CopyHooks, CopyJob } from './copy-job.ts';
import { CopyThread } from './copy-thread.ts';

export interface CopyPoolOptions {
  /** Copies at once; more wait. Default 4. */
  copies?: number;
  /**
   * Threads that share the copies. Default: one for each copy, at most one for each processor: a thread takes 16 MiB before
   * it does anything, and a copy spends its time waiting. Range 1 to `copies`.
   */
  threads?: number;
  /** How long an idle thread is kept for the next copy, ms. Default 10,000. */
  idleMs?: number;
}

/** Runs copies in threads of their own, so that hashing and copying never hold up the event loop of the engine. */
export class CopyPool {
  readonly #copies: number;
  readonly #most: number;
  readonly #idleMs: number;
  readonly #threads = new Map<CopyThread, NodeJS.Timeout | undefined>();
  readonly #queue: (() => void)[] = [];
  readonly #running = new Set<Promise<unknown>>();
  #active = 0;
  #closed = false;

  constructor(options: CopyPoolOptions = {}) {
    this.#copies = options.copies ?? 4;
    this.#most = Math.min(this.#copies, options.threads ?? availableParallelism());
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
    for (const [thread, timer] of this.#threads) {
      clearTimeout(timer);
      await thread.end();
    }
    this.#threads.clear();
  }

  async #run(job: CopyJob, hooks: CopyHooks): Promise<CopyResult> {
    await this.#turn(hooks.signal, job.label ?? 'disk');
    const thread = this.#choose();
    try {
      return await thread.copy(job, hooks);
    } finally {
      this.#keep(thread);
      this.#active--;
      this.#queue.shift()?.();
    }
  }

  /** Waits until one more copy may run. */
  async #turn(signal: AbortSignal, label: string): Promise<void> {
    if (signal.aborted || this.#closed) throw new GodwitError('CANCELED', label);
    if (this.#active < this.#copies) {
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

  /** The sound thread with the fewest copies; a new one when all are busy and there may be more. */
  #choose(): CopyThread {
    let best: CopyThread | undefined;
    let sound = 0;
    for (const thread of this.#threads.keys()) {
      if (!thread.sound) continue;
      sound++;
      if (!best || thread.load < best.load) best = thread;
    }
    if (!best || (best.load > 0 && sound < this.#most)) best = new CopyThread();
    clearTimeout(this.#threads.get(best));
    this.#threads.set(best, undefined);
    return best;
  }

  /** Keeps an idle thread for a while; forgets one that is of no more use. */
  #keep(thread: CopyThread): void {
    if (!thread.sound) {
      this.#threads.delete(thread);
    } else if (thread.load === 0) {
      const timer = setTimeout(() => {
        this.#threads.delete(thread);
        void thread.end();
      }, this.#idleMs);
      timer.unref();
      this.#threads.set(thread, timer);
    }
  }
}
