import type { MinionPoolSettings } from '@godwit/store';
import { invalidInput } from './request-error.ts';
import type { MinionPoolCreate, MinionPoolUpdate } from './schemas/minion-pool.ts';
import { OS_TYPES, quoted } from './user-scripts.ts';

/** What a body asks of a minion pool, judged and filled with defaults. Pure. */

const PLATFORMS = ['source', 'destination'] as const;
const STRATEGIES = ['delete', 'poweroff'] as const;
type Platform = (typeof PLATFORMS)[number];

export function newPool(body: MinionPoolCreate): MinionPoolSettings & { platform: Platform } {
  const platform = PLATFORMS.find((known) => known === body.platform);
  if (platform === undefined) {
    throw invalidInput(
      `The provided pool platform ('${body.platform}') is invalid. Must be one of the following: ${quoted(PLATFORMS)}`,
    );
  }
  const minimum = body.minimum_minions ?? 1;
  const pool = {
    platform,
    name: body.name,
    notes: body.notes ?? null,
    os_type: body.os_type,
    environment_options: body.environment_options,
    minimum_minions: minimum,
    maximum_minions: body.maximum_minions ?? minimum,
    minion_max_idle_time: body.minion_max_idle_time ?? 1,
    minion_retention_strategy: strategyOf(body.minion_retention_strategy ?? 'delete'),
  };
  judge(platform, pool);
  return pool;
}

/** The changed settings alone. */
export function changedPool(
  before: MinionPoolSettings & { platform: Platform },
  body: MinionPoolUpdate,
): Partial<MinionPoolSettings> {
  for (const key of ['endpoint_id', 'platform'] as const) {
    if (key in body) throw invalidInput(`The '${key}' of a minion pool cannot be updated.`);
  }
  const change: Partial<MinionPoolSettings> = {
    ...(body.name !== undefined && { name: body.name }),
    ...(body.notes !== undefined && { notes: body.notes }),
    ...(body.os_type !== undefined && { os_type: body.os_type }),
    ...(body.environment_options !== undefined && { environment_options: body.environment_options }),
    ...(typeof body.minimum_minions === 'number' && { minimum_minions: body.minimum_minions }),
    ...(typeof body.maximum_minions === 'number' && { maximum_minions: body.maximum_minions }),
    ...(typeof body.minion_max_idle_time === 'number' && { minion_max_idle_time: body.minion_max_idle_time }),
    ...(typeof body.minion_retention_strategy === 'string' && {
      minion_retention_strategy: strategyOf(body.minion_retention_strategy),
    }),
  };
  judge(before.platform, { ...before, ...change });
  return change;
}

function strategyOf(wanted: string): MinionPoolSettings['minion_retention_strategy'] {
  const strategy = STRATEGIES.find((known) => known === wanted);
  if (strategy !== undefined) return strategy;
  throw invalidInput(
    `Invalid minion pool retention strategy '${wanted}'. Must be one of the following: ${quoted(STRATEGIES)}`,
  );
}

const LARGEST = 0x7fff_ffff;

function judge(platform: Platform, pool: MinionPoolSettings): void {
  if (!OS_TYPES.includes(pool.os_type)) {
    throw invalidInput(
      `The provided pool OS type '${pool.os_type}' is invalid. Must be one of the following: ${quoted(OS_TYPES)}`,
    );
  }
  if (platform === 'source' && pool.os_type !== 'linux') {
    throw invalidInput(`Source Minion Pools are required to be of OS type 'linux', not '${pool.os_type}'.`);
  }
  for (const key of ['minimum_minions', 'maximum_minions', 'minion_max_idle_time'] as const) {
    if (pool[key] <= 0 || pool[key] > LARGEST) {
      throw invalidInput(`'${key}' must be a strictly positive integer. Got: ${pool[key]}`);
    }
  }
  if (pool.maximum_minions < pool.minimum_minions) {
    throw invalidInput(
      `'maximum_minions' value (${pool.maximum_minions}) must be at least as large as the 'minimum_minions' value (${pool.minimum_minions}).`,
    );
  }
}
