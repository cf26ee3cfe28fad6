import {
  GodwitError,
  type MinionUse,
  type PoolChoice,
  usesOfDeployment,
  usesOfTransfer,
  whyPoolDoesNotFit,
} from '@godwit/domain';
import { type Db, getMinionPool } from '@godwit/store';

/**
 * Refuses pools that can never serve an action: of another project, endpoint, side or operating system, or too small.
 *
 * @throws GodwitError INVALID_INPUT
 */
export async function refuseUnfitPools(
  db: Db,
  action: { project_id: string; origin_endpoint_id: string; destination_endpoint_id: string },
  uses: readonly MinionUse[],
): Promise<void> {
  for (const [role, group] of Map.groupBy(uses, (use) => use.role)) {
    const endpoint = role === 'source' ? action.origin_endpoint_id : action.destination_endpoint_id;
    for (const [id, same] of Map.groupBy(group, (use) => use.pool)) {
      const pool = await getMinionPool(db, id, action.project_id);
      const reason =
        pool === undefined
          ? `Could not find minion pool with ID '${id}'.`
          : whyPoolDoesNotFit(
              pool,
              role,
              endpoint,
              same.map(({ instance }) => instance),
            );
      if (reason !== null) throw new GodwitError('INVALID_INPUT', `minion pool ${id}`, { reason });
    }
  }
}

/** All pools that a transfer names, also those that only its deployments will use. */
export const poolsOf = (transfer: PoolChoice): MinionUse[] => [
  ...usesOfTransfer(transfer),
  ...usesOfDeployment({ ...transfer, skip_os_morphing: false }),
];
