import { GodwitError } from '@godwit/domain';

/** A task that this process runs. */
export interface Run {
  readonly taskId: string;
  readonly executionId: string;
  readonly attempt: number;
  /** Cleanup goes on when its execution is canceled. */
  readonly onError: boolean;
  readonly signal: AbortSignal;
}

/** The tasks that this process runs, and who waits for word about which execution. */
export class Runs {
  readonly #runs = new Map<string, Run & { controller: AbortController }>();
  readonly #inboxes = new Map<string, Inbox>();
  readonly #out: AbortSignal;

  /** @param out the worker's own end: aborts every run */
  constructor(out: AbortSignal) {
    this.#out = out;
  }

  get taskIds(): string[] {
    return [...this.#runs.keys()];
  }

  get executionIds(): string[] {
    return [...new Set([...this.#runs.values()].map((run) => run.executionId).concat([...this.#inboxes.keys()]))];
  }

  /** Runs `work` with a signal that cancel() aborts; a run of the same task by a former attempt is aborted first. */
  async run<T>(run: Omit<Run, 'signal'>, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.#runs.get(run.taskId)?.controller.abort(fencedOff(run));
    const controller = new AbortController();
    const signal = AbortSignal.any([controller.signal, this.#out]);
    const entry = { ...run, signal, controller };
    this.#runs.set(run.taskId, entry);
    try {
      return await work(signal);
    } finally {
      if (this.#runs.get(run.taskId) === entry) this.#runs.delete(run.taskId);
    }
  }

  /** Interrupts the tasks of an execution; cleanup only with `force`. */
  cancel(executionId: string, force: boolean): void {
    for (const run of this.#runs.values()) {
      if (run.executionId !== executionId || (run.onError && !force)) continue;
      run.controller.abort(new GodwitError('CANCELED', `execution ${executionId}`));
    }
  }

  /** Interrupts an attempt at a task that another attempt follows elsewhere. */
  leave(taskId: string, attempt: number): void {
    const run = this.#runs.get(taskId);
    if (run?.attempt === attempt) run.controller.abort(fencedOff({ ...run, attempt: attempt + 1 }));
  }

  /** Opens the place where a walk waits for word about its execution. */
  inbox(executionId: string): Inbox {
    const inbox = new Inbox(() => {
      if (this.#inboxes.get(executionId) === inbox) this.#inboxes.delete(executionId);
    });
    this.#inboxes.get(executionId)?.wake();
    this.#inboxes.set(executionId, inbox);
    return inbox;
  }

  /** What each walk here knew of its execution after its last step, by execution; those in their first step know nothing. */
  get known(): ReadonlyMap<string, string> {
    const known = new Map<string, string>();
    for (const [executionId, inbox] of this.#inboxes) {
      if (inbox.known !== undefined) known.set(executionId, inbox.known);
    }
    return known;
  }

  /** Word about an execution; nobody may be waiting. */
  wake(executionId: string): void {
    this.#inboxes.get(executionId)?.wake();
  }

  wakeAll(): void {
    for (const inbox of this.#inboxes.values()) inbox.wake();
  }
}

/** Where one waits for word; what came while nobody waited is kept. */
export class Inbox {
  /** What the one who waits knows, to be compared with the rows: `knownOf` of the walk. */
  known: string | undefined;
  readonly #forget: () => void;
  #word = false;
  #waiter: (() => void) | undefined;

  constructor(forget: () => void) {
    this.#forget = forget;
  }

  wake(): void {
    this.#word = true;
    this.#waiter?.();
  }

  /** Resolves at once when word has come since the last wait, else when it comes, or after `ms`. */
  async wait(ms: number): Promise<void> {
    if (!this.#word) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#waiter = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#word = false;
    this.#waiter = undefined;
  }

  close(): void {
    this.#forget();
    this.wake();
  }
}

const fencedOff = (run: Omit<Run, 'signal'>): GodwitError =>
  new GodwitError('FENCED', `task ${run.taskId}`, { owner: run.attempt, attempt: run.attempt - 1 });
