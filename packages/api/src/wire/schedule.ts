import type * as store from '@godwit/store';
import type { Schedule } from '../schemas/schedule.ts';
import { commonKeys, timestampOrNull } from './timestamp.ts';

export function scheduleToWire(row: store.Schedule): Schedule {
  return {
    ...commonKeys(row),
    id: row.id,
    transfer_id: row.transfer_id,
    schedule: { ...row.schedule },
    enabled: row.enabled,
    expiration_date: timestampOrNull(row.expiration_date),
    shutdown_instance: row.shutdown_instance,
    auto_deploy: row.auto_deploy,
    trust_id: row.trust_id,
  };
}
