import type { Provider } from '@godwit/provider';
import { connectionSchema } from './connection.ts';
import { getInstance, listInstances, listNetworks, listStorage, validateConnection } from './inventory.ts';
import { listOptions } from './options.ts';
import { pools } from './pools.ts';
import { remove } from './remove.ts';
import { source } from './source.ts';
import { target } from './target.ts';

/** OpenStack clouds, as source and as target, with the rights of a member of a project. */
export const openstackProvider: Provider = {
  name: 'openstack',
  connectionSchema,
  validateConnection,
  listInstances,
  getInstance,
  listNetworks,
  listStorage,
  listOptions,
  remove,
  source,
  target,
  pools,
};
