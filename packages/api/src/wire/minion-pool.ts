import type { JsonObject } from '@godwit/domain';
import type * as store from '@godwit/store';
import type { MinionPool } from '../schemas/minion-pool.ts';
import { commonKeys, timestampOrNull } from './timestamp.ts';

/** What a single answer shows beyond a list's. */
export interface PoolHistory {
  events: readonly store.MinionPoolEvent[];
  progress: readonly store.MinionPoolProgress[];
}

export function poolToWire(
  row: store.MinionPool,
  machines: readonly store.MinionMachine[],
  history?: PoolHistory,
): MinionPool {
  return {
    ...commonKeys(row),
    id: row.id,
    user_id: row.user_id,
    project_id: row.project_id,
    name: row.name,
    notes: row.notes,
    endpoint_id: row.endpoint_id,
    environment_options: row.environment_options,
    os_type: row.os_type,
    platform: row.platform,
    status: row.status,
    shared_resources: row.shared_resources,
    minimum_minions: row.minimum_minions,
    maximum_minions: row.maximum_minions,
    minion_max_idle_time: row.minion_max_idle_time,
    minion_retention_strategy: row.minion_retention_strategy,
    maintenance_trust_id: row.maintenance_trust_id,
    minion_machines: machines.map(machineToWire),
    ...(history && {
      events: history.events.map((event) => ({
        ...commonKeys(event),
        id: event.id,
        pool_id: event.pool_id,
        index: event.index,
        level: event.level,
        message: event.message,
      })),
      progress_updates: history.progress.map((update) => ({
        ...commonKeys(update),
        id: update.id,
        pool_id: update.pool_id,
        index: update.index,
        current_step: update.current_step,
        total_steps: update.total_steps,
        message: update.message,
      })),
    }),
  };
}

function machineToWire(row: store.MinionMachine): MinionPool['minion_machines'][number] {
  return {
    ...commonKeys(row),
    id: row.id,
    pool_id: row.pool_id,
    user_id: row.user_id,
    project_id: row.project_id,
    allocation_status: row.allocation_status,
    power_status: row.power_status,
    allocated_action: row.allocated_action,
    last_used_at: timestampOrNull(row.last_used_at),
    connection_info: masked(row.connection_info),
    backup_writer_connection_info: maskedWriter(row.backup_writer_connection_info),
    provider_properties: row.provider_properties,
  };
}

const HIDDEN = '***';

/** Keys, passwords and certificates are shown as `***`: the column holds none, but clients look for the keys. */
function masked(info: JsonObject | null): JsonObject | null {
  if (info === null) return null;
  const { certificates } = info;
  const hidden =
    typeof certificates === 'object' && certificates !== null && !Array.isArray(certificates)
      ? Object.fromEntries(Object.keys(certificates).map((name) => [name, HIDDEN]))
      : undefined;
  return {
    ...info,
    ...(info.pkey ? { pkey: HIDDEN } : {}),
    ...(info.password ? { password: HIDDEN } : {}),
    ...(hidden && { certificates: hidden }),
  };
}

function maskedWriter(info: JsonObject | null): JsonObject | null {
  if (info === null) return null;
  const details = info.connection_details;
  if (typeof details !== 'object' || details === null || Array.isArray(details)) return info;
  return { ...info, connection_details: masked(details) };
}
