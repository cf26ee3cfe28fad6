import type { JsonObject } from '@godwit/domain';
import type { OptionValues, ProviderContext } from '@godwit/provider';
import type { Cloud } from './client/cloud.ts';
import { openCloud } from './connection.ts';
import { orNull } from './wait.ts';

type Values = OptionValues['values'];
interface Option {
  side: 'both' | 'destination';
  values: (cloud: Cloud) => Promise<Values>;
  default?: (cloud: Cloud) => Promise<string | null>;
}

const pairs = (list: { id: string; name: string | null }[]): Values =>
  list
    .map(({ id, name }) => ({ id, name: name === null || name === '' ? id : name }))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));

const images = async (cloud: Cloud) => pairs(await cloud.images.images({ status: 'active' }));
const flavors = async (cloud: Cloud) => pairs(await cloud.compute.flavors());
const inner = async (cloud: Cloud) =>
  pairs((await cloud.network.networks()).filter((network) => network['router:external'] !== true));
const outer = async (cloud: Cloud) =>
  pairs((await cloud.network.networks()).filter((network) => network['router:external'] === true));
const zones = (cloud: Cloud) => cloud.compute.zones();

const options: Readonly<Record<string, Option>> = {
  minion_image: { side: 'both', values: images },
  minion_flavor: { side: 'both', values: flavors },
  minion_network: { side: 'both', values: inner },
  minion_floating_network: { side: 'both', values: outer },
  minion_availability_zone: { side: 'both', values: zones },
  volume_type: {
    side: 'destination',
    values: async (cloud) => (await cloud.volumes.types()).map(({ name }) => name).sort(),
    default: async (cloud) => (await orNull(cloud.volumes.defaultType()))?.name ?? null,
  },
  network: { side: 'destination', values: inner },
  flavor_name: { side: 'destination', values: flavors },
  keypair_name: { side: 'destination', values: (cloud) => cloud.compute.keypairs() },
  security_groups: {
    side: 'destination',
    values: async (cloud) => pairs(await cloud.network.securityGroups({ project_id: await cloud.projectId() })),
  },
  server_group: { side: 'destination', values: async (cloud) => pairs(await cloud.compute.serverGroups()) },
  availability_zone: { side: 'destination', values: zones },
  floating_network: { side: 'destination', values: outer },
};

/** Values on offer, asked of the cloud all at once. */
export async function listOptions(
  ctx: ProviderContext,
  side: 'source' | 'destination',
  _environment: JsonObject,
  names: string[],
): Promise<OptionValues[]> {
  const cloud = openCloud(ctx);
  const wanted = Object.entries(options).filter(
    ([name, option]) =>
      (names.length === 0 || names.includes(name)) && (option.side === 'both' || side === 'destination'),
  );
  return Promise.all(
    wanted.map(async ([name, option]) => ({
      name,
      values: await option.values(cloud),
      config_default: (await option.default?.(cloud)) ?? null,
    })),
  );
}
