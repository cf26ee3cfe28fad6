import type { TaskType } from './statuses.ts';

/** What an execution does with a machine of a pool. */
export const MINION_ROLES = ['source', 'destination', 'osmorphing'] as const;
export type MinionRole = (typeof MINION_ROLES)[number];

/** The tasks around the use of a machine: it is brought up before, and given back whatever happened. */
export const MINION_TASKS: Readonly<Record<MinionRole, { ready: TaskType; release: TaskType }>> = {
  source: { ready: 'VALIDATE_SOURCE_MINION_POOL_COMPATIBILITY', release: 'RELEASE_SOURCE_MINION' },
  destination: { ready: 'VALIDATE_DESTINATION_MINION_POOL_COMPATIBILITY', release: 'RELEASE_DESTINATION_MINION' },
  osmorphing: { ready: 'VALIDATE_OSMORPHING_MINION_POOL_COMPATIBILITY', release: 'RELEASE_OSMORPHING_MINION' },
};

/** One machine that an execution needs. */
export interface MinionUse {
  instance: string;
  role: MinionRole;
  /** Id of the pool. */
  pool: string;
}

/** What a transfer or deployment says about pools. */
export interface PoolChoice {
  instances: readonly string[];
  origin_minion_pool_id: string | null;
  destination_minion_pool_id: string | null;
  instance_osmorphing_minion_pool_mappings: Readonly<Record<string, unknown>>;
}

/** The machines of a run: one for each instance and side that has a pool. */
export function usesOfTransfer(transfer: PoolChoice): MinionUse[] {
  return transfer.instances.flatMap((instance) => [
    ...useOf(instance, 'source', transfer.origin_minion_pool_id),
    ...useOf(instance, 'destination', transfer.destination_minion_pool_id),
  ]);
}

/** The machines of a deployment: one for each instance whose operating system is prepared by one. */
export function usesOfDeployment(deployment: PoolChoice & { skip_os_morphing: boolean }): MinionUse[] {
  if (deployment.skip_os_morphing) return [];
  return deployment.instances.flatMap((instance) =>
    useOf(instance, 'osmorphing', deployment.instance_osmorphing_minion_pool_mappings[instance]),
  );
}

function useOf(instance: string, role: MinionRole, pool: unknown): MinionUse[] {
  return typeof pool === 'string' && pool !== '' ? [{ instance, role, pool }] : [];
}

/** As much of a pool as tells whether it fits. */
export interface PoolFit {
  id: string;
  endpoint_id: string;
  platform: 'source' | 'destination';
  os_type: string;
  maximum_minions: number;
}

/**
 * Why machines of the pool cannot do what is asked of them, or null.
 *
 * @param endpoint the one that the machines are to work at
 * @param instances that need a machine of it at once
 */
export function whyPoolDoesNotFit(
  pool: PoolFit,
  role: MinionRole,
  endpoint: string,
  instances: readonly string[],
): string | null {
  const word = role === 'source' ? 'origin' : role === 'destination' ? 'destination' : 'OSMorphing';
  const platform = role === 'source' ? 'source' : 'destination';
  const subject = `The selected ${word} minion pool ('${pool.id}')`;
  if (pool.endpoint_id !== endpoint) {
    return `${subject} belongs to a different endpoint ('${pool.endpoint_id}') than the requested ${platform === 'source' ? 'origin' : 'destination'} endpoint ('${endpoint}').`;
  }
  if (pool.platform !== platform) {
    return `${subject} is configured as a '${pool.platform}' pool. The pool must be of type '${platform}'.`;
  }
  if (role !== 'osmorphing' && pool.os_type !== 'linux') {
    return `${subject} is of OS type '${pool.os_type}' instead of the 'linux' OS type required for moving disks.`;
  }
  if (pool.maximum_minions < instances.length) {
    return `${subject} has a lower maximum minion count (${pool.maximum_minions}) than the requested number of minions (${instances.length}) to handle all of the instances: ${instances.join(', ')}.`;
  }
  return null;
}
