import { buildCommand } from '@stricli/core';
import { type Api, type ApiObject, objectOf } from '../api.ts';
import type { CliContext } from '../context.ts';
import { executionDetail } from '../execution-view.ts';
import { elseBy } from '../failure.ts';
import {
  args,
  docs,
  idArgument,
  isGiven,
  outputAliases,
  requiredText,
  type ShowFlags,
  showFlags,
  text,
  type WaitFlags,
  waitFlags,
} from '../flags.ts';
import { jsonOption } from '../json-option.ts';
import { endpointId } from '../lookup.ts';
import { printObject, requirePrintable } from '../print.ts';
import { parseRate } from '../quantity.ts';
import { UsageError } from '../usage-error.ts';
import {
  type DeployDefaultFlags,
  deployDefaultFlags,
  deployDefaults,
  type PoolFlags,
  poolFlags,
  poolMappings,
  type ScriptFlags,
  type StorageFlags,
  scriptFlags,
  storageFlags,
  storageMappings,
  userScripts,
} from './action-options.ts';
import { finishExecution, type ProofFlags, proofBody, proofFlags, transferDetail } from './transfer-view.ts';

interface SharedFlags extends ScriptFlags, PoolFlags, StorageFlags, DeployDefaultFlags {
  notes?: string;
  destinationEnvironment?: string;
  destinationEnvironmentFile?: string;
  networkMap?: string;
  networkMapFile?: string;
  sourceEnvironment?: string;
  sourceEnvironmentFile?: string;
  originMinionPoolId?: string;
  destinationMinionPoolId?: string;
}

const sharedFlags = {
  notes: text('Notes', 'TEXT'),
  destinationEnvironment: text('Options of the destination as JSON', 'JSON'),
  destinationEnvironmentFile: text('File that holds them; - is standard input', 'PATH'),
  networkMap: text('Networks of the source to networks of the destination, as JSON', 'JSON'),
  networkMapFile: text('File that holds it; - is standard input', 'PATH'),
  sourceEnvironment: text('Options of the source as JSON', 'JSON'),
  sourceEnvironmentFile: text('File that holds them; - is standard input', 'PATH'),
  originMinionPoolId: text('Minion pool at the source; empty: none', 'POOL'),
  destinationMinionPoolId: text('Minion pool at the destination; empty: none', 'POOL'),
  ...storageFlags,
  ...poolFlags,
  ...scriptFlags,
  ...deployDefaultFlags,
};

interface OptionFlags extends ProofFlags {
  rateLimit?: number;
}

const optionFlags = {
  rateLimit: {
    kind: 'parsed',
    parse: parseRate,
    optional: true,
    placeholder: 'RATE',
    brief: 'Bytes per second at most, over all its disks: 100MB/s, 1Gbit/s; none: no limit',
  },
  ...proofFlags,
} as const;

export const create = buildCommand<
  ShowFlags &
    SharedFlags & {
      originEndpoint: string;
      destinationEndpoint: string;
      instance: readonly string[];
      scenario: 'replica' | 'live_migration';
    } & OptionFlags,
  [],
  CliContext
>({
  docs: docs('Say what to transfer, from where to where; nothing moves until "godwit transfer execute"', [
    'godwit transfer create --origin-endpoint lab --destination-endpoint dc2 --instance web01 --network-map \'{"default": "net0"}\'',
    'godwit transfer create --origin-endpoint lab --destination-endpoint dc2 --instance db1 --instance db2 --scenario live_migration',
  ]),
  parameters: {
    flags: {
      originEndpoint: requiredText('Endpoint (id or name) that holds the instances', 'ENDPOINT'),
      destinationEndpoint: requiredText('Endpoint (id or name) that they go to', 'ENDPOINT'),
      instance: {
        kind: 'parsed',
        parse: String,
        variadic: true,
        brief: 'Id or name of an instance; may be repeated',
        placeholder: 'INSTANCE',
      },
      scenario: {
        kind: 'enum',
        values: ['replica', 'live_migration'],
        default: 'replica',
        brief: 'replica: deploy as often as wanted; live_migration: deploy once',
      },
      ...optionFlags,
      ...sharedFlags,
      ...showFlags,
    },
    aliases: outputAliases,
  },
  async func(flags) {
    requirePrintable(flags, transferDetail({}, []));
    const shared = await sharedBody(this, flags);
    const api = await this.connect();
    const body: ApiObject = {
      origin_endpoint_id: await endpointId(api, flags.originEndpoint),
      destination_endpoint_id: await endpointId(api, flags.destinationEndpoint),
      instances: [...flags.instance],
      scenario: flags.scenario,
      source_environment: {},
      destination_environment: {},
      network_map: {},
      storage_mappings: {},
      ...shared,
      notes: flags.notes ?? null,
      user_scripts: userScripts(flags),
      ...deployDefaults(flags),
      options: changedOptions({}, flags),
    };
    const answer = await api.post('/transfers', { transfer: body });
    await printObject(this, flags, transferDetail(objectOf(answer, 'transfer'), []));
  },
});

export const update = buildCommand<ShowFlags & SharedFlags & OptionFlags & WaitFlags, [string], CliContext>({
  docs: docs(
    'Change a transfer; the providers check and apply it in an execution of its own',
    [
      'godwit transfer update 2c9e... --notes "second wave"',
      'godwit transfer update 2c9e... --rate-limit 50MB/s',
      'godwit transfer update 2c9e... --rate-limit none',
    ],
    'Refused while it runs; the rate limit alone can be changed then too: "godwit transfer limits set".',
  ),
  parameters: {
    flags: { ...optionFlags, ...sharedFlags, ...waitFlags, ...showFlags },
    aliases: outputAliases,
    positional: args(idArgument('TRANSFER', 'Id of the transfer')),
  },
  async func(flags, id) {
    requirePrintable(flags, executionDetail({}));
    const body: ApiObject = { ...(await sharedBody(this, flags)) };
    if (flags.notes !== undefined) body.notes = flags.notes;
    if (isGiven(flags.userScriptGlobal) || isGiven(flags.userScriptInstance)) body.user_scripts = userScripts(flags);
    for (const [key, value] of Object.entries(deployDefaults(flags))) if (value !== null) body[key] = value;
    const hasOptions = flags.rateLimit !== undefined || Object.keys(proofBody(flags)).length > 0;
    if (!hasOptions && Object.keys(body).length === 0) throw new UsageError('Nothing to change was given.');
    const api = await this.connect();
    if (hasOptions) body.options = changedOptions(await optionsOf(api, id), flags);
    const answer = await api.put(`/transfers/${id}`, { transfer: body }).catch((error: unknown) => {
      if (flags.rateLimit === undefined) throw error;
      const set = `godwit transfer limits set ${id} --rate-limit ${flags.rateLimit || 'none'}`;
      throw elseBy(error, `The rate limit alone can be changed while it runs: ${set}`);
    });
    const execution = objectOf(answer, 'execution');
    await finishExecution(this, api, flags, id, execution);
  },
});

/** Options of a transfer that is there: the API replaces them as a whole. */
async function optionsOf(api: Api, id: string): Promise<ApiObject> {
  return objectOf(objectOf(await api.get(`/transfers/${id}`), 'transfer'), 'options');
}

function changedOptions(before: ApiObject, flags: OptionFlags): ApiObject {
  const { rate_limit, ...others } = { ...before, ...proofBody(flags) };
  const limit = flags.rateLimit ?? rate_limit;
  return { ...others, ...(limit ? { rate_limit: limit } : {}) };
}

async function sharedBody(context: CliContext, flags: SharedFlags): Promise<ApiObject> {
  const body: ApiObject = {};
  const source = await jsonOption(context, 'source-environment', flags.sourceEnvironment, flags.sourceEnvironmentFile);
  const destination = await jsonOption(
    context,
    'destination-environment',
    flags.destinationEnvironment,
    flags.destinationEnvironmentFile,
  );
  const networks = await jsonOption(context, 'network-map', flags.networkMap, flags.networkMapFile);
  const storage = storageMappings(flags);
  const pools = poolMappings(flags);
  if (source !== undefined) body.source_environment = source;
  if (destination !== undefined) body.destination_environment = destination;
  if (networks !== undefined) body.network_map = networks;
  if (Object.keys(storage).length > 0) body.storage_mappings = storage;
  if (Object.keys(pools).length > 0) body.instance_osmorphing_minion_pool_mappings = pools;
  if (flags.originMinionPoolId !== undefined) body.origin_minion_pool_id = flags.originMinionPoolId || null;
  if (flags.destinationMinionPoolId !== undefined)
    body.destination_minion_pool_id = flags.destinationMinionPoolId || null;
  return body;
}
