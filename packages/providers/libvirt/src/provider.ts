import type { Provider } from '@godwit/provider';
import { connectionSchema } from './connection.ts';
import { getInstance, listInstances, listNetworks, listOptions, listStorage, validateConnection } from './inventory.ts';
import { remove } from './remove.ts';
import { source } from './source.ts';
import { target } from './target.ts';

/** KVM and QEMU hosts that libvirt manages, as source and as target. */
export const libvirtProvider: Provider = {
  name: 'libvirt',
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
};
