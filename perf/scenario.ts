import type { Standing } from './contender.ts';

/** What a scenario gets. */
export interface Bench {
  /** A private folder, on tmpfs where there is room; removed at the end. */
  folder: string;
  /** Rounds per contender. */
  rounds: number;
  /** Small disks, for a look: the figures mean little. */
  quick: boolean;
  /** Seed of everything random. */
  seed: string;
  /** A line for whoever watches. */
  say: (line: string) => void;
}

/** A target of the blueprint and what became of it. */
export interface Verdict {
  target: string;
  measured: string;
  met: boolean;
}

/** A table of contenders that did the same work. */
export interface Heat {
  title: string;
  /** What was moved between what; sizes. */
  setting: string;
  standings: Standing[];
}

/** A table of figures that are not times of contenders. */
export interface Table {
  title: string;
  setting: string;
  head: string[];
  rows: string[][];
}

export interface ScenarioResult {
  id: string;
  title: string;
  heats: Heat[];
  tables?: Table[];
  verdicts: Verdict[];
  /** What the reader must know to judge the figures. */
  notes: string[];
}

export interface Scenario {
  id: string;
  title: string;
  run(bench: Bench): Promise<ScenarioResult>;
}

/** A verdict on a figure that should be at least so much. */
export function atLeast(target: string, least: number, measured: number, unit: string): Verdict {
  return { target, measured: `${measured.toFixed(2)}${unit}`, met: measured >= least };
}

/** A verdict on a figure that should be at most so much. */
export function atMost(target: string, most: number, measured: number, unit: string): Verdict {
  return { target, measured: `${measured.toFixed(2)}${unit}`, met: measured <= most };
}

/** The standing of that name. */
export function standingOf(heat: Heat, name: string): Standing {
  const found = heat.standings.find((standing) => standing.name === name);
  if (found === undefined) throw new Error(`${heat.title} has no contender ${name}`);
  return found;
}

/** The fastest of them by median. */
export function fastest(standings: readonly Standing[]): Standing {
  const [best] = [...standings].sort((a, b) => a.wall.median - b.wall.median);
  if (best === undefined) throw new Error('nobody ran');
  return best;
}
