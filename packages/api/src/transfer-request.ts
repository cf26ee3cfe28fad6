import { GodwitError, type JsonObject, TRANSFER_SCENARIOS, type TransferScenario } from '@godwit/domain';
import { checkInput } from '@godwit/provider';
import type { TransferOptions } from '@godwit/store';
import type { Static } from 'typebox';
import { PROVIDER_TYPE, type ProviderDescription } from './provider-description.ts';
import { badRequest, invalidInput } from './request-error.ts';
import type { StorageMappings, TransferCreate, TransferUpdate } from './schemas/transfer.ts';
import { mergedScripts, normalisedScripts, quoted } from './user-scripts.ts';

/** What a body asks of a transfer, judged and filled with defaults. Pure: no database, no provider. */

export type TransferBody = Static<typeof TransferCreate>['transfer'];
export type TransferChangeBody = Static<typeof TransferUpdate>['transfer'];
type Storage = Static<typeof StorageMappings>;

/** Settings of a transfer that may change later. */
export interface TransferSettings {
  source_environment: JsonObject;
  destination_environment: JsonObject;
  network_map: JsonObject;
  storage_mappings: JsonObject;
  notes: string | null;
  user_scripts: JsonObject;
  clone_disks: boolean;
  skip_os_morphing: boolean;
  origin_minion_pool_id: string | null;
  destination_minion_pool_id: string | null;
  instance_osmorphing_minion_pool_mappings: JsonObject;
  options: TransferOptions;
}

/** Providers of both ends. */
export interface Ends {
  origin: ProviderDescription | undefined;
  originType: string;
  destination: ProviderDescription | undefined;
  destinationType: string;
}

export function scenarioOf(wanted: string | null | undefined): TransferScenario {
  if (wanted === undefined || wanted === null || wanted === '') return 'replica';
  const scenario = TRANSFER_SCENARIOS.find((known) => known === wanted);
  if (scenario === undefined) {
    throw invalidInput(
      `Unsupported Transfer creation scenario '${wanted}', must be one of: ${quoted(TRANSFER_SCENARIOS)}`,
    );
  }
  return scenario;
}

/** @throws GodwitError INVALID_INPUT for none, an empty name, or a name given twice */
export function instancesOf(instances: readonly string[] | undefined): string[] {
  if (instances === undefined || instances.length === 0) {
    throw invalidInput('No instance identifiers provided for transfer action.');
  }
  // In one pass each: a body has room for hundreds of thousands of names.
  const seen = new Set<string>();
  const twice = [...new Set(instances.filter((name) => seen.size === seen.add(name).size))];
  if (twice.length > 0) {
    throw invalidInput(`Transfer action instances (${quoted(instances)}) list contained duplicates: ${quoted(twice)}`);
  }
  if (instances.includes('')) throw invalidInput('An instance identifier is empty.');
  return [...instances];
}

export function newSettings(body: TransferBody, instances: readonly string[], ends: Ends): TransferSettings {
  const settings: TransferSettings = {
    source_environment: body.source_environment ?? {},
    destination_environment: withoutMaps(body.destination_environment ?? {}),
    network_map: body.network_map ?? {},
    storage_mappings: toJsonObject(body.storage_mappings ?? {}),
    notes: body.notes ?? null,
    user_scripts: normalisedScripts(body.user_scripts),
    clone_disks: body.clone_disks ?? true,
    skip_os_morphing: body.skip_os_morphing ?? false,
    origin_minion_pool_id: body.origin_minion_pool_id || null,
    destination_minion_pool_id: body.destination_minion_pool_id || null,
    instance_osmorphing_minion_pool_mappings: body.instance_osmorphing_minion_pool_mappings ?? {},
    options: optionsOf(body.options),
  };
  judge(settings, instances, ends);
  return settings;
}

/** The settings after an update: maps are merged by key, lists by source or disk, the rest is replaced. */
export function changedSettings(
  before: TransferSettings,
  change: TransferChangeBody,
  instances: readonly string[],
  ends: Ends,
): TransferSettings {
  const given = <K extends keyof TransferChangeBody>(key: K) => change[key] !== undefined;
  const settings: TransferSettings = {
    source_environment: { ...before.source_environment, ...change.source_environment },
    destination_environment: {
      ...before.destination_environment,
      ...withoutMaps(change.destination_environment ?? {}),
    },
    network_map: { ...before.network_map, ...change.network_map },
    storage_mappings: mergedStorage(before.storage_mappings as Storage, change.storage_mappings ?? {}),
    notes: given('notes') ? (change.notes ?? null) : before.notes,
    user_scripts: mergedScripts(before.user_scripts, change.user_scripts),
    clone_disks: change.clone_disks ?? before.clone_disks,
    skip_os_morphing: change.skip_os_morphing ?? before.skip_os_morphing,
    origin_minion_pool_id: given('origin_minion_pool_id')
      ? change.origin_minion_pool_id || null
      : before.origin_minion_pool_id,
    destination_minion_pool_id: given('destination_minion_pool_id')
      ? change.destination_minion_pool_id || null
      : before.destination_minion_pool_id,
    instance_osmorphing_minion_pool_mappings: given('instance_osmorphing_minion_pool_mappings')
      ? (change.instance_osmorphing_minion_pool_mappings ?? {})
      : before.instance_osmorphing_minion_pool_mappings,
    options: change.options === undefined ? before.options : optionsOf(change.options),
  };
  judge(settings, instances, ends);
  return settings;
}

/** Refuses a change of what a transfer is. */
export function refuseFixed(body: TransferChangeBody, scenario: TransferScenario): void {
  if (body.scenario && body.scenario !== scenario) {
    throw invalidInput(
      `Changing Transfer creation scenario is not supported (original scenario is ${scenario}, received '${body.scenario}')`,
    );
  }
  if (body.origin_endpoint_id || body.destination_endpoint_id) {
    throw invalidInput(
      "The source or destination endpoints for a Coriolis Transfer cannot be updated after its creation. If the credentials of any of the Transfer's endpoints need updating, please update the endpoints themselves.",
    );
  }
  if (body.instances && body.instances.length > 0) {
    throw invalidInput('The list of instances of a Transfer cannot be updated');
  }
}

function judge(settings: TransferSettings, instances: readonly string[], ends: Ends): void {
  const source = ends.origin?.sourceSchema;
  const destination = ends.destination?.destinationSchema;
  if (source === undefined) {
    throw invalidInput(`Provider not found for: ${ends.originType}, ${PROVIDER_TYPE.transferExport}`);
  }
  if (destination === undefined) {
    throw invalidInput(`Provider not found for: ${ends.destinationType}, ${PROVIDER_TYPE.transferImport}`);
  }
  const reasons = [
    ...reasonsOf(() => checkInput(source, settings.source_environment, 'source_environment')),
    ...reasonsOf(() => checkInput(destination, settings.destination_environment, 'destination_environment')),
    ...Object.entries(settings.network_map)
      .filter(([, target]) => typeof target !== 'string')
      .map(([network]) => `Invalid network_map: the destination of ${network} must be a name`),
  ];
  const declared = new Set(instances);
  const strangers = Object.keys(settings.instance_osmorphing_minion_pool_mappings).filter(
    (name) => !declared.has(name),
  );
  if (strangers.length > 0) {
    reasons.push(
      `One or more instance OSMorphing pool mappings were provided for instances (${quoted(strangers)}) which are not part of the Transfer's declared instances (${quoted(instances)})`,
    );
  }
  if (reasons.length > 0) throw invalidInput(reasons.join('; '));
}

function reasonsOf(check: () => unknown): string[] {
  try {
    check();
    return [];
  } catch (error) {
    if (error instanceof GodwitError && error.code === 'INVALID_INPUT') return [String(error.details.reason)];
    throw error;
  }
}

/** The maps travel beside the environment; clients send back those that answers show inside it. */
function withoutMaps(environment: JsonObject): JsonObject {
  const { network_map: _networks, storage_mappings: _storage, ...rest } = environment;
  return rest;
}

function mergedStorage(before: Storage, change: Storage): JsonObject {
  const backends = change.backend_mappings ?? [];
  const disks = change.disk_mappings ?? [];
  const given = {
    backends: new Set(backends.map(({ source }) => source)),
    disks: new Set(disks.map(({ disk_id }) => disk_id)),
  };
  const merged: Storage = {
    backend_mappings: [
      ...(before.backend_mappings ?? []).filter(({ source }) => !given.backends.has(source)),
      ...backends,
    ],
    disk_mappings: [...(before.disk_mappings ?? []).filter(({ disk_id }) => !given.disks.has(disk_id)), ...disks],
  };
  const target = change.default || before.default;
  return toJsonObject(target ? { ...merged, default: target } : merged);
}

function optionsOf(options: TransferBody['options']): TransferOptions {
  const { rate_limit, verify, audit } = options ?? {};
  return {
    ...(rate_limit && { rate_limit }),
    ...(verify && { verify }),
    ...(audit && { audit }),
  };
}

function toJsonObject(value: Storage): JsonObject {
  return JSON.parse(JSON.stringify(value)) as JsonObject;
}

/** The ends of a transfer must differ. */
export function refuseSameEnds(originId: string, destinationId: string): void {
  if (originId === destinationId) throw badRequest('Origin and destination cannot be the same');
}
