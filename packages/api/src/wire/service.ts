import type * as store from '@godwit/store';
import type { Service } from '../schemas/service.ts';
import { commonKeys } from './timestamp.ts';

export function serviceToWire(row: store.ServiceWithStatus): Service {
  return {
    ...commonKeys(row),
    id: row.id,
    host: row.host,
    binary: row.binary,
    topic: row.topic,
    enabled: row.enabled,
    status: row.status,
    providers: row.providers as Service['providers'],
    specs: row.specs,
    mapped_regions: row.mapped_regions,
  };
}
