import type { JsonObject } from '@godwit/domain';
import type { Provider } from '@godwit/provider';
import type { TSchema } from 'typebox';

/** What the API needs to know of a provider: never the code that connects. */
export interface ProviderDescription {
  name: string;
  /** Numbers of the abilities, ascending, as the contract counts them. */
  types: number[];
  connectionSchema: TSchema;
  /** Absent: it cannot be a source. */
  sourceSchema?: TSchema;
  /** Absent: it cannot be a destination. */
  destinationSchema?: TSchema;
  /** Options of a minion pool at a source, at a destination; absent: it makes no minions there. */
  sourcePoolSchema?: TSchema;
  destinationPoolSchema?: TSchema;
}

/** Ability numbers of the contract. */
export const PROVIDER_TYPE = {
  transferImport: 4,
  transferExport: 8,
  endpoint: 16,
  instances: 32,
  networks: 128,
  destinationOptions: 512,
  validateExport: 4096,
  validateImport: 16384,
  storage: 32768,
  sourceUpdate: 65536,
  sourceOptions: 131072,
  destinationUpdate: 262144,
  sourcePool: 524288,
  destinationPool: 1048576,
  inventory: 2097152,
} as const;

/** Reads a provider's abilities off its optional members. */
export function describeProvider(provider: Provider): ProviderDescription {
  const has = PROVIDER_TYPE;
  const types: number[] = [has.endpoint, has.instances, has.inventory];
  if (provider.source) types.push(has.transferExport, has.validateExport, has.sourceUpdate);
  if (provider.target) types.push(has.transferImport, has.validateImport, has.destinationUpdate);
  if (provider.listNetworks) types.push(has.networks);
  if (provider.listStorage) types.push(has.storage);
  if (provider.listOptions && provider.source) types.push(has.sourceOptions);
  if (provider.listOptions && provider.target) types.push(has.destinationOptions);
  if (provider.pools?.sourceSchema) types.push(has.sourcePool);
  if (provider.pools?.destinationSchema) types.push(has.destinationPool);
  return {
    name: provider.name,
    types: types.sort((a, b) => a - b),
    connectionSchema: provider.connectionSchema,
    ...(provider.source && { sourceSchema: provider.source.environmentSchema }),
    ...(provider.target && { destinationSchema: provider.target.environmentSchema }),
    ...(provider.pools?.sourceSchema && { sourcePoolSchema: provider.pools.sourceSchema }),
    ...(provider.pools?.destinationSchema && { destinationPoolSchema: provider.pools.destinationSchema }),
  };
}

/** The `schemas` answer for a type number, or undefined when the provider has none of that type. */
export function schemasOfType(provider: ProviderDescription, type: number): JsonObject | undefined {
  switch (type) {
    case PROVIDER_TYPE.endpoint:
      return { connection_info_schema: plain(provider.connectionSchema) };
    case PROVIDER_TYPE.transferImport:
      return provider.destinationSchema && { destination_environment_schema: plain(provider.destinationSchema) };
    case PROVIDER_TYPE.transferExport:
      return provider.sourceSchema && { source_environment_schema: plain(provider.sourceSchema) };
    case PROVIDER_TYPE.sourcePool:
      return provider.sourcePoolSchema && { source_minion_pool_environment_schema: plain(provider.sourcePoolSchema) };
    case PROVIDER_TYPE.destinationPool:
      return (
        provider.destinationPoolSchema && {
          destination_minion_pool_environment_schema: plain(provider.destinationPoolSchema),
        }
      );
    default:
      return undefined;
  }
}

/** A schema as the JSON it is on the wire. */
function plain(schema: object): JsonObject {
  return JSON.parse(JSON.stringify(schema)) as JsonObject;
}
