import { buildCommand, buildRouteMap } from '@stricli/core';
import { type ApiObject, objectOf } from '../api.ts';
import type { Row } from '../cell.ts';
import type { CliContext } from '../context.ts';
import { args, argument, docs, either, outputAliases, type ShowFlags, showFlags, text, toggle } from '../flags.ts';
import { regionId } from '../lookup.ts';
import { printObject, requirePrintable } from '../print.ts';
import { UsageError } from '../usage-error.ts';
import { commandsOf, inApi } from './noun.ts';

interface EnablementFlags {
  enabled: boolean;
  disabled: boolean;
}

const enablementFlags = {
  enabled: toggle('Workers and endpoints in it are used'),
  disabled: toggle('They are not'),
};

const region = argument('REGION', 'Id or name of the region');

const create = buildCommand<ShowFlags & EnablementFlags & { description?: string }, [string], CliContext>({
  docs: docs('Create a region', ['godwit region create site-b --description "Second data centre"']),
  parameters: {
    flags: { description: text('Description', 'TEXT'), ...enablementFlags, ...showFlags },
    aliases: outputAliases,
    positional: args(argument('NAME', 'Name')),
  },
  async func(flags, name) {
    requirePrintable(flags, row({}));
    const enabled = either(flags.enabled, flags.disabled, '--enabled and --disabled');
    const body: ApiObject = {
      name,
      description: flags.description ?? '',
      ...(enabled === undefined ? {} : { enabled }),
    };
    const api = await this.connect();
    await printObject(this, flags, row(objectOf(await api.post('/regions', { region: body }), 'region')));
  },
});

const update = buildCommand<
  ShowFlags & EnablementFlags & { name?: string; description?: string },
  [string],
  CliContext
>({
  docs: docs('Change a region', ['godwit region update site-b --disabled']),
  parameters: {
    flags: {
      name: text('New name', 'NAME'),
      description: text('New description', 'TEXT'),
      ...enablementFlags,
      ...showFlags,
    },
    aliases: outputAliases,
    positional: args(region),
  },
  async func(flags, idOrName) {
    const enabled = either(flags.enabled, flags.disabled, '--enabled and --disabled');
    requirePrintable(flags, row({}));
    const body: ApiObject = {
      ...(flags.name === undefined ? {} : { name: flags.name }),
      ...(flags.description === undefined ? {} : { description: flags.description }),
      ...(enabled === undefined ? {} : { enabled }),
    };
    if (Object.keys(body).length === 0) throw new UsageError('Nothing to change was given.');
    const api = await this.connect();
    const answer = await api.put(`/regions/${await regionId(api, idOrName)}`, { region: body });
    await printObject(this, flags, row(objectOf(answer, 'region')));
  },
});

const COLUMNS = [
  'ID',
  'Name',
  'Enabled',
  'Description',
  'Mapped Endpoint IDs',
  'Mapped Service IDs',
  'Created At',
  'Last Updated At',
];

const {
  list,
  show,
  delete: remove,
} = commandsOf({
  place: inApi('region', regionId),
  argument: region,
  columns: COLUMNS,
  row,
  detail: row,
  list: docs('List the regions', ['godwit region list']),
  show: docs('Show a region', ['godwit region show site-b']),
  delete: docs('Delete a region', ['godwit region delete site-b']),
});

export const routes = buildRouteMap<string, CliContext>({
  docs: { brief: 'Places that only some workers reach' },
  routes: { create, list, show, update, delete: remove },
});

function row(object: ApiObject): Row {
  return {
    ID: object.id ?? null,
    Name: object.name ?? null,
    Enabled: object.enabled ?? null,
    Description: object.description ?? '',
    'Mapped Endpoint IDs': object.mapped_endpoints ?? [],
    'Mapped Service IDs': object.mapped_services ?? [],
    'Created At': object.created_at ?? null,
    'Last Updated At': object.updated_at ?? null,
  };
}
