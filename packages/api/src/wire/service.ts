import type * as store from '@godwit/store';
import type { Service } from '../schemas/service.ts';
import { commonKeys } from './timestamp.ts';

/**
 * @param typesOf ability numbers of a platform: a worker tells only which platforms it has
 */
export function serviceToWire(row: store.ServiceWithStatus, typesOf: (platform: string) => readonly number[]): Service {
  const platforms = Object.keys(row.providers).map((name) => [name, { types: [...typesOf(name)] }]);
  return {
    ...commonKeys(row),
    id: row.id,
    host: row.host,
    binary: row.binary,
    topic: row.topic,
    enabled: row.enabled,
    status: row.status,
    providers: Object.fromEntries(platforms),
    specs: row.specs,
    mapped_regions: row.mapped_regions,
  };
}
