import { buildCommand, buildRouteMap } from '@stricli/core';
import { type Api, type ApiObject, objectOf, textAt } from '../api.ts';
import { cell, type Row } from '../cell.ts';
import type { CliContext } from '../context.ts';
import {
  args,
  argument,
  docs,
  outputAliases,
  requiredText,
  type ShowFlags,
  showFlags,
  text,
  texts,
  toggle,
} from '../flags.ts';
import { jsonOption, secretFields } from '../json-option.ts';
import { endpointId, regionId } from '../lookup.ts';
import { printObject, requirePrintable } from '../print.ts';
import { CommandFailure, UsageError } from '../usage-error.ts';
import {
  exportRoutes,
  instanceRoutes,
  minionRoutes,
  networkRoutes,
  optionRoutes,
  storageRoutes,
} from './endpoint-inventory.ts';
import { endpointLimits } from './limits.ts';
import { commandsOf, inApi } from './noun.ts';

interface ConnectionFlags {
  connection?: string;
  connectionFile?: string;
  connectionSecret?: string;
}

const connectionFlags = {
  connection: text('Connection as JSON; visible in the process list, so without secrets', 'JSON'),
  connectionFile: text('File that holds the connection as JSON; - is standard input', 'PATH'),
  connectionSecret: text('URL of a Barbican secret that holds the connection', 'URL'),
};

const regionFlags = {
  coriolisRegion: texts('Region (id or name) it belongs to; may be repeated', 'REGION'),
  region: texts('The same', 'REGION'),
};

const endpoint = argument('ENDPOINT', 'Id or name of the endpoint');

const create = buildCommand<
  ShowFlags &
    ConnectionFlags & {
      name: string;
      provider: string;
      description?: string;
      skipValidation: boolean;
      coriolisRegion?: readonly string[];
      region?: readonly string[];
    },
  [],
  CliContext
>({
  docs: docs(
    'Connect a cloud or hypervisor',
    [
      'godwit endpoint create --name lab --provider libvirt --connection \'{"uri": "qemu+ssh://host/system"}\'',
      'godwit endpoint create --name dc1 --provider openstack --connection-file dc1.json',
      'pass show dc1 | godwit endpoint create --name dc1 --provider openstack --connection-file -',
    ],
    'The connection is tried at once; when it fails the endpoint stays, to be mended with "godwit endpoint update".\n' +
      'What a connection consists of: "godwit provider schema list PROVIDER connection".',
  ),
  parameters: {
    flags: {
      name: requiredText('Name', 'NAME'),
      provider: requiredText('Provider, see "godwit provider list"', 'PROVIDER'),
      description: text('Description', 'TEXT'),
      skipValidation: toggle('Do not try the connection'),
      ...connectionFlags,
      ...regionFlags,
      ...showFlags,
    },
    aliases: outputAliases,
  },
  async func(flags) {
    requirePrintable(flags, detail({}));
    const connection = await connectionOf(this, flags);
    if (connection === undefined) {
      throw new UsageError('One of --connection, --connection-file and --connection-secret is needed.');
    }
    const api = await this.connect();
    const body: ApiObject = {
      name: flags.name,
      type: flags.provider,
      description: flags.description ?? null,
      connection_info: connection,
      mapped_regions: await regionsOf(api, flags),
    };
    const made = objectOf(await api.post('/endpoints', { endpoint: body }), 'endpoint');
    if (!flags.skipValidation) {
      await validated(api, textAt(made, 'id'), `Endpoint ${flags.name} was created, but its connection does not work`);
    }
    await printObject(this, flags, detail(made));
  },
});

const update = buildCommand<
  ShowFlags &
    ConnectionFlags & {
      name?: string;
      description?: string;
      coriolisRegion?: readonly string[];
      region?: readonly string[];
    },
  [string],
  CliContext
>({
  docs: docs(
    'Change an endpoint',
    [
      'godwit endpoint update lab --description "The lab in room 3"',
      'godwit endpoint update 4a7f... --connection-file dc1.json',
    ],
    'Regions given replace all it had.',
  ),
  parameters: {
    flags: {
      name: text('New name', 'NAME'),
      description: text('New description', 'TEXT'),
      ...connectionFlags,
      ...regionFlags,
      ...showFlags,
    },
    aliases: outputAliases,
    positional: args(endpoint),
  },
  async func(flags, idOrName) {
    requirePrintable(flags, detail({}));
    const connection = await connectionOf(this, flags);
    const api = await this.connect();
    const regions = await regionsOf(api, flags);
    const body: ApiObject = {
      ...(flags.name === undefined ? {} : { name: flags.name }),
      ...(flags.description === undefined ? {} : { description: flags.description }),
      ...(connection === undefined ? {} : { connection_info: connection }),
      ...(regions.length === 0 ? {} : { mapped_regions: regions }),
    };
    if (Object.keys(body).length === 0) throw new UsageError('Nothing to change was given.');
    const id = await endpointId(api, idOrName);
    const answer = await api.put(`/endpoints/${id}`, { endpoint: body });
    await printObject(this, flags, detail(objectOf(answer, 'endpoint')));
  },
});

const {
  list,
  show,
  delete: remove,
} = commandsOf({
  place: inApi('endpoint', endpointId),
  argument: endpoint,
  columns: ['ID', 'Name', 'Type', 'Description', 'Mapped Region IDs'],
  row,
  detail,
  list: docs('List the endpoints', ['godwit endpoint list', 'godwit endpoint list -f value -c ID -c Name']),
  show: docs('Show an endpoint; its secrets are not shown', [
    'godwit endpoint show lab',
    'godwit endpoint show lab -f value -c id',
  ]),
  delete: docs('Delete an endpoint; refused while a transfer uses it', ['godwit endpoint delete lab']),
});

const validateConnection = buildCommand<Record<never, never>, [string], CliContext>({
  docs: docs('Try the connection of an endpoint', ['godwit endpoint validate connection lab']),
  parameters: { positional: args(endpoint) },
  async func(_flags, idOrName) {
    const api = await this.connect();
    await validated(api, await endpointId(api, idOrName), `The connection of endpoint ${idOrName} does not work`);
    this.print(`The connection of endpoint ${idOrName} works.\n`);
  },
});

export const routes = buildRouteMap<string, CliContext>({
  docs: { brief: 'Connected clouds and hypervisors' },
  routes: {
    create,
    update,
    list,
    show,
    delete: remove,
    validate: buildRouteMap({ docs: { brief: 'Check an endpoint' }, routes: { connection: validateConnection } }),
    export: exportRoutes,
    limits: endpointLimits,
    instance: instanceRoutes,
    network: networkRoutes,
    storage: storageRoutes,
    source: buildRouteMap({
      docs: { brief: 'The endpoint as a source' },
      routes: { options: optionRoutes('source'), minion: minionRoutes('source') },
    }),
    destination: buildRouteMap({
      docs: { brief: 'The endpoint as a destination' },
      routes: { options: optionRoutes('destination'), minion: minionRoutes('destination') },
    }),
  },
});

async function connectionOf(context: CliContext, flags: ConnectionFlags): Promise<ApiObject | undefined> {
  if (flags.connectionSecret !== undefined) {
    if (flags.connection !== undefined || flags.connectionFile !== undefined) {
      throw new UsageError('--connection-secret excludes --connection and --connection-file.');
    }
    return { secret_ref: flags.connectionSecret };
  }
  const connection = await jsonOption(context, 'connection', flags.connection, flags.connectionFile);
  const secrets = flags.connection === undefined ? [] : secretFields(connection ?? null);
  if (secrets.length > 0) {
    context.warn(
      `WARNING: --connection holds a secret (${secrets.join(', ')}): everybody on this machine may see it in the process list. Use --connection-file PATH, or --connection-file - to read it from standard input.`,
    );
  }
  return connection;
}

async function regionsOf(
  api: Api,
  flags: { coriolisRegion?: readonly string[]; region?: readonly string[] },
): Promise<string[]> {
  const ids: string[] = [];
  for (const region of [...(flags.coriolisRegion ?? []), ...(flags.region ?? [])])
    ids.push(await regionId(api, region));
  return ids;
}

async function validated(api: Api, id: string, failure: string): Promise<void> {
  const answer = objectOf(
    await api.post(`/endpoints/${id}/actions`, { 'validate-connection': null }),
    'validate-connection',
  );
  if (answer.valid === true) return;
  throw new CommandFailure(
    `${failure}: ${textAt(answer, 'message') || 'no reason was given.'}`,
    `Correct it with "godwit endpoint update ${id} --connection-file PATH".`,
  );
}

function row(object: ApiObject): Row {
  return {
    ID: object.id ?? null,
    Name: object.name ?? null,
    Type: object.type ?? null,
    Description: object.description ?? '',
    'Mapped Region IDs': object.mapped_regions ?? [],
  };
}

function detail(object: ApiObject): Row {
  const connection = objectOf(object, 'connection_info');
  return {
    id: object.id ?? null,
    name: object.name ?? null,
    type: object.type ?? null,
    description: object.description ?? '',
    connection_info: cell(connection, JSON.stringify(connection, null, 2)),
    mapped_regions: object.mapped_regions ?? [],
    created_at: object.created_at ?? null,
    last_updated: object.updated_at ?? null,
  };
}
