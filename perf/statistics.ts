/** Middle and spread of some figures. */
export interface Summary {
  median: number;
  /** Quarter of the figures lie below the first, a quarter above the second. */
  quartiles: [number, number];
  min: number;
  max: number;
  count: number;
}

/** @param figures at least one */
export function summarize(figures: readonly number[]): Summary {
  const sorted = [...figures].sort((a, b) => a - b);
  return {
    median: quantile(sorted, 0.5),
    quartiles: [quantile(sorted, 0.25), quantile(sorted, 0.75)],
    min: sorted[0] ?? Number.NaN,
    max: sorted.at(-1) ?? Number.NaN,
    count: sorted.length,
  };
}

/**
 * Median of the per-round ratios: what two commands compare to when both ran in each round, whatever the machine was
 * doing meanwhile.
 */
export function pairedRatio(numerators: readonly number[], denominators: readonly number[]): number {
  const ratios = numerators.map((value, round) => value / (denominators[round] ?? Number.NaN));
  return summarize(ratios.filter(Number.isFinite)).median;
}

/** @param fraction 0.99: a hundredth of the figures lies above */
export function percentile(figures: readonly number[], fraction: number): number {
  return quantile(
    [...figures].sort((a, b) => a - b),
    fraction,
  );
}

/**
 * By how much the least of the last tenth of samples exceeds that of the first: of memory in use, which goes up and down with
 * each collection, what collections leave.
 */
export function floorGrowth(samples: readonly number[]): number {
  const tenth = Math.ceil(samples.length / 10);
  return Math.min(...samples.slice(-tenth)) / Math.min(...samples.slice(0, tenth));
}

function quantile(sorted: readonly number[], fraction: number): number {
  const place = (sorted.length - 1) * fraction;
  const low = sorted[Math.floor(place)] ?? Number.NaN;
  const high = sorted[Math.ceil(place)] ?? Number.NaN;
  return low + (high - low) * (place - Math.floor(place));
}
