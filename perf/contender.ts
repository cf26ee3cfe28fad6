import type { Measurement } from './measure.ts';
import { pairedRatio, type Summary, summarize } from './statistics.ts';

/** One way to do the work of a scenario. */
export interface Contender {
  /** How it stands in the table: `nbdcopy, tuned (2 threads, 512 KiB x8)`. */
  name: string;
  /** The product itself, or somebody to be compared with. */
  side: 'product' | 'peer' | 'model';
  /**
   * Does the work once. What goes before and after (fresh target, servers, comparison of the bytes) is not in the figures.
   *
   * @throws Error when the target's bytes are wrong
   */
  run(): Promise<Figures>;
}

/** What one run took. */
export interface Figures extends Pick<Measurement, 'wall' | 'cpu' | 'peakBytes'> {
  /** Processor seconds of the servers meanwhile. */
  serverCpu?: number;
  /** Bytes over the link towards the target, where one was in between. */
  wireBytes?: number;
}

/** All rounds of one contender. */
export interface Standing {
  name: string;
  side: Contender['side'];
  rounds: Figures[];
  wall: Summary;
  cpu: Summary;
  peakBytes: number;
  /** Bytes of data moved or looked at, per second of the median; undefined where the scenario has no such figure. */
  bytesPerSecond?: number;
}

/**
 * Lets the contenders run in turn, round by round, each round beginning with another one: what the machine does meanwhile
 * hits all of them.
 *
 * @param rounds at least 1; figures are worth quoting from 5
 * @param bytes what the rate is computed from
 */
export async function compete(
  contenders: readonly Contender[],
  rounds: number,
  bytes: number | undefined,
  say: (line: string) => void,
): Promise<Standing[]> {
  const all = contenders.map((contender) => ({ contender, rounds: [] as Figures[] }));
  for (let round = 0; round < rounds; round += 1) {
    for (let turn = 0; turn < all.length; turn += 1) {
      const entry = all[(round + turn) % all.length];
      if (entry === undefined) continue;
      const figures = await entry.contender.run();
      entry.rounds.push(figures);
      say(`  round ${round + 1}/${rounds}  ${entry.contender.name}: ${figures.wall.toFixed(2)} s`);
    }
  }
  return all.map(({ contender, rounds: figures }) => {
    const wall = summarize(figures.map((figure) => figure.wall));
    return {
      name: contender.name,
      side: contender.side,
      rounds: figures,
      wall,
      cpu: summarize(figures.map((figure) => figure.cpu)),
      peakBytes: Math.max(...figures.map((figure) => figure.peakBytes)),
      ...(bytes === undefined ? {} : { bytesPerSecond: bytes / wall.median }),
    };
  });
}

/** How many times as fast as `peer` `ours` is: median of the ratios round by round. */
export function timesAsFast(ours: Standing, peer: Standing): number {
  return pairedRatio(
    peer.rounds.map((round) => round.wall),
    ours.rounds.map((round) => round.wall),
  );
}
