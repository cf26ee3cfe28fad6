import { isDeepStrictEqual } from 'node:util';
import { GodwitError } from '@godwit/domain';
import type { Provider } from '../provider.ts';
import { Bench, type Check, type ConformanceOptions, type ContextFactory, ensure, NotApplicable } from './bench.ts';
import { deployChecks } from './deploy-checks.ts';
import { inventoryChecks } from './inventory-checks.ts';
import { snapshotChecks } from './snapshot-checks.ts';
import { targetChecks } from './target-checks.ts';
import { tokenChecks } from './token-checks.ts';

export interface ConformanceResult {
  /** A sentence of behaviour; stable, so that results can be compared. */
  name: string;
  status: 'passed' | 'failed' | 'not_applicable';
  /** What was seen, why it failed, or why it does not apply. */
  detail: string;
  seconds: number;
}

const checks: readonly Check[] = [
  ...inventoryChecks,
  ...snapshotChecks,
  ...tokenChecks,
  ...targetChecks,
  ...deployChecks,
];

/** Names of all checks, or of those that need one of `needs`, in the order they run. */
export function conformanceChecks(needs?: readonly Check['needs'][]): string[] {
  return [...checks.filter((check) => needs?.includes(check.needs) !== false).map(({ name }) => name), finalCheck];
}

const finalCheck = 'leaves the platform as it was found';

/**
 * Checks a provider against its contract, one result after the other. Safe on a live endpoint: it only reads lists,
 * unless an instance is named (snapshots of it are taken and removed) or scratch is allowed (small disks and an
 * instance that is never started are made and removed).
 *
 * @param makeContext context of one call; its ledger records what is made, so that a crash of the suite leaks nothing
 */
export async function* runConformance(
  provider: Provider,
  makeContext: ContextFactory,
  options: ConformanceOptions = {},
): AsyncGenerator<ConformanceResult> {
  const bench = new Bench(provider, makeContext, options);
  if (options.subject !== undefined && options.needs?.includes('instance') !== false) await bench.subjectInstance();
  const before = await bench.everything();
  for (const check of checks) {
    if (options.only !== undefined && !check.name.includes(options.only)) continue;
    if (options.needs !== undefined && !options.needs.includes(check.needs)) continue;
    if (options.signal?.aborted) throw new GodwitError('CANCELED', 'provider validation');
    yield await timed(check.name, async () => {
      const creates = check.needs === 'scratch' || check.needs === 'deployment';
      if (creates && options.scratch !== true) {
        throw new NotApplicable('creates things: only with scratch allowed');
      }
      if (check.needs === 'instance') {
        void bench.source;
        await bench.instanceId();
      }
      if (creates) void bench.target;
      const outcome = await check.run(bench).catch((error: unknown) => ({ error }));
      await bench.reap();
      if (typeof outcome === 'object') throw outcome.error;
      return outcome;
    });
  }
  yield await timed(finalCheck, async () => {
    const left = bench.live().map(({ kind, name }) => `${kind} ${name}`);
    ensure(left.length === 0, `left behind: ${left.join(', ')}`);
    ensure(isDeepStrictEqual(await bench.everything(), before), 'the platform holds something else than at first');
    return before === null ? 'by the ledger' : `by the ledger and all ${before.length} things of the platform`;
  });
}

async function timed(name: string, work: () => Promise<string>): Promise<ConformanceResult> {
  const start = performance.now();
  const result = (status: ConformanceResult['status'], detail: string) => ({
    name,
    status,
    detail,
    seconds: Math.round(performance.now() - start) / 1000,
  });
  try {
    return result('passed', await work());
  } catch (error) {
    if (error instanceof NotApplicable) return result('not_applicable', error.message);
    if (error instanceof GodwitError) return result('failed', `${error.code}: ${error.message}`);
    return result('failed', error instanceof Error ? error.message : String(error));
  }
}
