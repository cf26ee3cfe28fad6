import type * as store from '@godwit/store';
import type { Region } from '../schemas/region.ts';
import { commonKeys } from './timestamp.ts';

export function regionToWire(row: store.RegionWithMappings): Region {
  return {
    ...commonKeys(row),
    id: row.id,
    name: row.name,
    description: row.description,
    enabled: row.enabled,
    mapped_endpoints: row.mapped_endpoints,
    mapped_services: row.mapped_services,
  };
}
