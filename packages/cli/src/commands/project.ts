import { buildCommand, buildRouteMap } from '@stricli/core';
import { type ApiObject, objectOf } from '../api.ts';
import type { Row } from '../cell.ts';
import type { CliContext } from '../context.ts';
import { args, argument, docs, either, outputAliases, type ShowFlags, showFlags, text, toggle } from '../flags.ts';
import { printObject, requirePrintable } from '../print.ts';
import { UsageError } from '../usage-error.ts';
import { ACCOUNT_COLUMNS, accountId, accountRow } from './account.ts';
import { commandsOf, inIdentity } from './noun.ts';

const project = argument('PROJECT', 'Id or name of the project');

const create = buildCommand<ShowFlags & { description?: string }, [string], CliContext>({
  docs: docs('Make a project', ['godwit project create tenant --description "Second floor"']),
  parameters: {
    flags: { description: text('Description', 'TEXT'), ...showFlags },
    aliases: outputAliases,
    positional: args(argument('NAME', 'Name')),
  },
  async func(flags, name) {
    requirePrintable(flags, detail({}));
    const api = await this.connectIdentity();
    const body: ApiObject = { name, description: flags.description ?? '' };
    const answer = await api.identity('POST', '/projects', { project: body });
    await printObject(this, flags, detail(objectOf(answer, 'project')));
  },
});

const set = buildCommand<
  { name?: string; description?: string; enable: boolean; disable: boolean },
  [string],
  CliContext
>({
  docs: docs('Change a project', ['godwit project set tenant --disable']),
  parameters: {
    flags: {
      name: text('New name', 'NAME'),
      description: text('Description', 'TEXT'),
      enable: toggle('It may be worked in'),
      disable: toggle('It may not'),
    },
    positional: args(project),
  },
  async func(flags, idOrName) {
    const enabled = either(flags.enable, flags.disable, '--enable and --disable');
    const body: ApiObject = {
      ...(flags.name === undefined ? {} : { name: flags.name }),
      ...(flags.description === undefined ? {} : { description: flags.description }),
      ...(enabled === undefined ? {} : { enabled }),
    };
    if (Object.keys(body).length === 0) throw new UsageError('Nothing to change was given.');
    const api = await this.connectIdentity();
    await api.identity('PATCH', `/projects/${await accountId(api, 'project', idOrName)}`, { project: body });
  },
});

const {
  list,
  show,
  delete: remove,
} = commandsOf({
  place: inIdentity('project'),
  argument: project,
  columns: ACCOUNT_COLUMNS,
  row: accountRow,
  detail,
  list: docs('List the projects', ['godwit project list']),
  show: docs('Show a project', ['godwit project show tenant']),
  delete: docs('Delete a project that has nothing left', ['godwit project delete tenant']),
});

export const routes = buildRouteMap<string, CliContext>({
  docs: { brief: 'Whose things are whose' },
  routes: { create, list, show, set, delete: remove },
});

function detail(object: ApiObject): Row {
  return {
    id: object.id ?? null,
    name: object.name ?? null,
    description: object.description ?? '',
    enabled: object.enabled ?? null,
    domain_id: object.domain_id ?? null,
  };
}
