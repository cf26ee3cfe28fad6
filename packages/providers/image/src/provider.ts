import type { InstanceInfo, JsonObject } from '@godwit/domain';
import type { OptionValues, Provider, ProviderContext } from '@godwit/provider';
import { connectionSchema, openFolder } from './connection.ts';
import { diskFormats, freezeModes } from './environment.ts';
import { listInstances, listNetworks, listStorage, loadInstance } from './inventory.ts';
import { remove } from './remove.ts';
import { source } from './source.ts';
import { target } from './target.ts';

/** Folders of disk images: OVA, OVF, domain XML or bare disks. docs/provider-image.md describes the layout. */
export const imageProvider: Provider = {
  name: 'image',
  connectionSchema,
  validateConnection: async (ctx) => {
    await openFolder(ctx);
  },
  listInstances,
  getInstance,
  listNetworks,
  listStorage,
  listOptions,
  remove,
  source,
  target,
};

async function getInstance(ctx: ProviderContext, id: string, environment: JsonObject): Promise<InstanceInfo> {
  return (await loadInstance(ctx, id, environment)).info;
}

async function listOptions(
  ctx: ProviderContext,
  side: 'source' | 'destination',
  _environment: JsonObject,
  names: string[],
): Promise<OptionValues[]> {
  await openFolder(ctx);
  const all: OptionValues[] =
    side === 'source'
      ? [{ name: 'freeze', values: [...freezeModes], config_default: 'auto' }]
      : [{ name: 'disk_format', values: [...diskFormats], config_default: 'raw' }];
  return names.length === 0 ? all : all.filter((option) => names.includes(option.name));
}
