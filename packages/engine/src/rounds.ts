import { isExhausted, isUnavailable } from '@godwit/store';
import type { WorkerContext } from './worker-context.ts';

interface Round {
  name: string;
  everyMs: number;
  work: () => Promise<unknown>;
  timer?: NodeJS.Timeout;
  running: boolean;
  again: boolean;
}

/** What a worker does now and then. A round never overlaps itself; one that fails is tried again at its next turn. */
export class Rounds {
  readonly #worker: WorkerContext;
  readonly #rounds = new Map<string, Round>();
  #going = false;

  constructor(worker: WorkerContext) {
    this.#worker = worker;
  }

  add(name: string, everyMs: number, work: () => Promise<unknown>): void {
    this.#rounds.set(name, { name, everyMs, work, running: false, again: false });
  }

  start(): void {
    this.#going = true;
    for (const round of this.#rounds.values()) this.#plan(round, Math.min(1_000, round.everyMs));
  }

  /** Does it now, or once more when it is under way. */
  hurry(name: string): void {
    const round = this.#rounds.get(name);
    if (round === undefined || !this.#going) return;
    if (round.running) round.again = true;
    else this.#plan(round, 0);
  }

  stop(): void {
    this.#going = false;
    for (const round of this.#rounds.values()) clearTimeout(round.timer);
  }

  #plan(round: Round, ms: number): void {
    clearTimeout(round.timer);
    round.timer = setTimeout(() => void this.#run(round), ms);
  }

  async #run(round: Round): Promise<void> {
    if (!this.#worker.heart.alive()) return;
    round.running = true;
    round.again = false;
    try {
      await round.work();
    } catch (error) {
      const level = isUnavailable(error) && !isExhausted(error) ? 'debug' : 'warn';
      this.#worker.log[level]({ err: error, round: round.name }, 'a round failed');
    }
    round.running = false;
    if (this.#going) this.#plan(round, round.again ? 0 : round.everyMs);
  }
}
