import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Installation } from '../../testbed/spine/installation.ts';
import type { LoadJob, LoadRequest, LoadResult } from '../load-generator.ts';
import { percentile } from '../statistics.ts';

const program = fileURLToPath(new URL('../load-generator.ts', import.meta.url));

/** Lets the load generator work; paths are below the project. */
export async function load(
  installation: Installation,
  job: Omit<LoadJob, 'origin' | 'token'>,
): Promise<LoadResult & { all: number[] }> {
  const { root, token } = installation.access;
  const { origin, pathname } = new URL(root);
  const requests = job.requests.map((request): LoadRequest => ({ ...request, path: `${pathname}${request.path}` }));
  const child = spawn(process.execPath, [program], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end(JSON.stringify({ ...job, requests, origin, token } satisfies LoadJob));
  const result = JSON.parse(await text(child.stdout)) as LoadResult;
  const [refused] = Object.entries(result.refused);
  if (refused !== undefined) throw new Error(`${refused[1]} requests were refused: ${refused[0]}`);
  return { ...result, all: Object.values(result.latencies).flat() };
}

/** Cells of latencies, ms: p50, p99, slowest. */
export function latencyCells(figures: readonly number[]): string[] {
  return [percentile(figures, 0.5), percentile(figures, 0.99), percentile(figures, 1)].map((ms) => ms.toFixed(2));
}

/** Counts of requests by upper bound of their time in the server, seconds, of the routes that match. */
export async function serverTimes(installation: Installation, route: RegExp): Promise<Map<number, number>> {
  const metrics = await (await fetch(`${installation.url}/metrics`)).text();
  const counts = new Map<number, number>();
  for (const line of metrics.split('\n')) {
    const match = /^godwit_http_request_seconds_bucket\{le="([^"]+)",(.*)\} (\d+)/.exec(line);
    if (match === null || !route.test(match[2] ?? '')) continue;
    const bound = match[1] === '+Inf' ? Number.POSITIVE_INFINITY : Number(match[1]);
    counts.set(bound, (counts.get(bound) ?? 0) + Number(match[3]));
  }
  return counts;
}

/** Middle of what came between two readings, milliseconds, interpolated within its bucket. */
export function serverMedian(before: ReadonlyMap<number, number>, after: ReadonlyMap<number, number>): number {
  const bounds = [...after.keys()].sort((a, b) => a - b);
  const counts = bounds.map((bound) => (after.get(bound) ?? 0) - (before.get(bound) ?? 0));
  const half = (counts.at(-1) ?? 0) / 2;
  const place = counts.findIndex((count) => count >= half);
  const [lower, below] = place > 0 ? [bounds[place - 1] ?? 0, counts[place - 1] ?? 0] : [0, 0];
  const [upper, within] = [bounds[place] ?? Number.NaN, (counts[place] ?? 0) - below];
  return (lower + ((upper - lower) * (half - below)) / within) * 1_000;
}
