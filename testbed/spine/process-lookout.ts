import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { SecretSearch } from './secret-search.ts';

/** Looks after which a process is no longer young, and how seldom it is looked at then. */
const YOUNG = 20;
const SELDOM = 40;

interface Seen {
  looks: number;
  shown: Map<string, string>;
}

/** Looks at command lines and environments of all processes of the machine, all the time, as any of its users may. */
export class ProcessLookout {
  /** What held a secret: `cmdline: NAME of the secret`. */
  readonly found = new Set<string>();
  /** Names of the programs that were seen. */
  readonly programs = new Set<string>();
  readonly #search: SecretSearch;
  /** Of each process how often it was looked at, and what its files showed last. */
  #known = new Map<string, Seen>();
  #timer: NodeJS.Timeout | undefined;

  constructor(search: SecretSearch) {
    this.#search = search;
  }

  start(): void {
    const look = () => {
      this.#look();
      this.#timer = setTimeout(look, 5);
    };
    look();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #look(): void {
    const now = new Map<string, Seen>();
    for (const pid of readdirSync('/proc')) {
      if (!/^\d+$/.test(pid)) continue;
      const known = this.#known.get(pid) ?? { looks: 0, shown: new Map<string, string>() };
      now.set(pid, known);
      known.looks += 1;
      // What a process becomes it becomes soon; the old ones are many.
      if (known.looks > YOUNG && known.looks % SELDOM > 0) continue;
      for (const name of ['cmdline', 'environ']) this.#read(pid, name, known.shown);
    }
    this.#known = now;
  }

  #read(pid: string, name: string, shown: Map<string, string>): void {
    let text: string;
    try {
      text = readFileSync(`/proc/${pid}/${name}`, 'latin1');
    } catch {
      return; // ended, or another user's
    }
    if (shown.get(name) === text) return;
    shown.set(name, text);
    if (name === 'cmdline') this.programs.add(path.basename(text.split('\0')[0] ?? ''));
    for (const secret of this.#search.in(text)) this.found.add(`${name}: ${secret}`);
  }
}
