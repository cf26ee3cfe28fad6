import { buildCommand, buildRouteMap } from '@stricli/core';
import { type ApiObject, objectOf } from '../api.ts';
import type { Row } from '../cell.ts';
import type { CliContext } from '../context.ts';
import {
  args,
  docs,
  either,
  idArgument,
  outputAliases,
  requiredText,
  type ShowFlags,
  showFlags,
  texts,
  toggle,
} from '../flags.ts';
import { regionId } from '../lookup.ts';
import { printObject, requirePrintable } from '../print.ts';
import { UsageError } from '../usage-error.ts';
import { commandsOf, inApi } from './noun.ts';

interface SharedFlags {
  coriolisRegion?: readonly string[];
  region?: readonly string[];
  enabled: boolean;
  disabled: boolean;
}

const sharedFlags = {
  coriolisRegion: texts('Region (id or name) it works in; may be repeated', 'REGION'),
  region: texts('The same', 'REGION'),
  enabled: toggle('It gets work'),
  disabled: toggle('It gets no new work'),
};

const service = idArgument('SERVICE', 'Id of the service');

const create = buildCommand<ShowFlags & SharedFlags & { host: string; binary: string; topic: string }, [], CliContext>({
  docs: docs('Register a worker by hand; workers register themselves when they start', [
    'godwit service create --host w1 --binary godwit-worker --topic worker',
  ]),
  parameters: {
    flags: {
      host: requiredText('Host name', 'HOST'),
      binary: requiredText('Program', 'NAME'),
      topic: requiredText('Topic', 'NAME'),
      ...sharedFlags,
      ...showFlags,
    },
    aliases: outputAliases,
  },
  async func(flags) {
    requirePrintable(flags, row({}));
    const enabled = either(flags.enabled, flags.disabled, '--enabled and --disabled');
    const api = await this.connect();
    const body: ApiObject = {
      host: flags.host,
      binary: flags.binary,
      topic: flags.topic,
      mapped_regions: await Promise.all(regions(flags).map((region) => regionId(api, region))),
      ...(enabled === undefined ? {} : { enabled }),
    };
    await printObject(this, flags, row(objectOf(await api.post('/services', { service: body }), 'service')));
  },
});

const update = buildCommand<ShowFlags & SharedFlags, [string], CliContext>({
  docs: docs(
    'Change what a worker may do',
    ['godwit service update 7e11... --disabled', 'godwit service update 7e11... --region site-b'],
    'Regions given replace all it had; without any they stay.',
  ),
  parameters: { flags: { ...sharedFlags, ...showFlags }, aliases: outputAliases, positional: args(service) },
  async func(flags, id) {
    requirePrintable(flags, row({}));
    const enabled = either(flags.enabled, flags.disabled, '--enabled and --disabled');
    const names = regions(flags);
    if (enabled === undefined && names.length === 0) throw new UsageError('Nothing to change was given.');
    const api = await this.connect();
    const body: ApiObject = {
      ...(enabled === undefined ? {} : { enabled }),
      ...(names.length === 0
        ? {}
        : { mapped_regions: await Promise.all(names.map((region) => regionId(api, region))) }),
    };
    await printObject(this, flags, row(objectOf(await api.put(`/services/${id}`, { service: body }), 'service')));
  },
});

const COLUMNS = [
  'ID',
  'Host',
  'Binary',
  'Topic',
  'Enabled',
  'Status',
  'Mapped Region IDs',
  'Created At',
  'Last Updated At',
];

const {
  list,
  show,
  delete: remove,
} = commandsOf({
  place: inApi('service'),
  argument: service,
  columns: COLUMNS,
  row,
  detail: row,
  list: docs('List the registered workers', ['godwit service list -c Host -c Status']),
  show: docs('Show a worker', ['godwit service show 7e11...']),
  delete: docs('Forget a worker that will not come back', ['godwit service delete 7e11...']),
});

export const routes = buildRouteMap<string, CliContext>({
  docs: { brief: 'Registered workers' },
  routes: { create, list, show, update, delete: remove },
});

function regions(flags: SharedFlags): string[] {
  return [...(flags.coriolisRegion ?? []), ...(flags.region ?? [])];
}

function row(object: ApiObject): Row {
  return {
    ID: object.id ?? null,
    Host: object.host ?? null,
    Binary: object.binary ?? null,
    Topic: object.topic ?? null,
    Enabled: object.enabled ?? null,
    Status: object.status ?? null,
    'Mapped Region IDs': object.mapped_regions ?? [],
    'Created At': object.created_at ?? null,
    'Last Updated At': object.updated_at ?? null,
  };
}
