import { buildCommand, buildRouteMap } from '@stricli/core';
import { type ApiObject, objectOf } from '../api.ts';
import type { Row } from '../cell.ts';
import type { CliContext } from '../context.ts';
import { args, argument, docs, either, outputAliases, type ShowFlags, showFlags, text, toggle } from '../flags.ts';
import { readText } from '../json-option.ts';
import { askPassword } from '../password.ts';
import { printObject, requirePrintable } from '../print.ts';
import { UsageError } from '../usage-error.ts';
import { ACCOUNT_COLUMNS, accountId, accountRow } from './account.ts';
import { commandsOf, inIdentity } from './noun.ts';

const PASSWORD = text('File that holds the password; - is standard input. Default: asked for', 'PATH');

/** A password never stands on a command line: everybody on the machine could read it there. */
async function passwordOf(context: CliContext, file: string | undefined, name: string): Promise<string> {
  if (file === undefined) return askPassword(`New password of ${name}: `, 'give it with --password-file');
  const content = file === '-' ? await context.readStdin() : readText(file, '--password-file');
  return content.replace(/\r?\n$/, '');
}

const user = argument('USER', 'Id or name of the user');

const create = buildCommand<
  ShowFlags & { passwordFile?: string; project?: string; role?: string },
  [string],
  CliContext
>({
  docs: docs('Make a user', [
    'godwit user create mona --project tenant --role member',
    'godwit user create mona --password-file - < secret.txt',
  ]),
  parameters: {
    flags: {
      passwordFile: PASSWORD,
      project: text('Default project (id or name); with --role also the one the role is for', 'PROJECT'),
      role: text('Role in that project: admin, member or reader', 'ROLE'),
      ...showFlags,
    },
    aliases: outputAliases,
    positional: args(argument('NAME', 'Name')),
  },
  async func(flags, name) {
    requirePrintable(flags, detail({}));
    if (flags.role !== undefined && flags.project === undefined) throw new UsageError('--role needs --project.');
    const password = await passwordOf(this, flags.passwordFile, name);
    const api = await this.connectIdentity();
    const project = flags.project === undefined ? undefined : await accountId(api, 'project', flags.project);
    const body: ApiObject = { name, password, ...(project === undefined ? {} : { default_project_id: project }) };
    const made = objectOf(await api.identity('POST', '/users', { user: body }), 'user');
    if (flags.role !== undefined) {
      await api.identity(
        'PUT',
        `/projects/${project}/users/${String(made.id)}/roles/${encodeURIComponent(flags.role)}`,
      );
    }
    await printObject(this, flags, detail(made));
  },
});

const set = buildCommand<
  { name?: string; passwordFile?: string; passwordPrompt: boolean; enable: boolean; disable: boolean },
  [string],
  CliContext
>({
  docs: docs(
    'Rename, enable or disable a user, or set the password',
    ['godwit user set mona --disable', 'godwit user set mona --password-prompt'],
    'A new password and being disabled end every session of the user.',
  ),
  parameters: {
    flags: {
      name: text('New name', 'NAME'),
      passwordFile: PASSWORD,
      passwordPrompt: toggle('Ask for the new password'),
      enable: toggle('The user may sign in'),
      disable: toggle('The user may not'),
    },
    positional: args(user),
  },
  async func(flags, idOrName) {
    const enabled = either(flags.enable, flags.disable, '--enable and --disable');
    const wanted = flags.passwordPrompt || flags.passwordFile !== undefined;
    const body: ApiObject = {
      ...(flags.name === undefined ? {} : { name: flags.name }),
      ...(wanted ? { password: await passwordOf(this, flags.passwordFile, idOrName) } : {}),
      ...(enabled === undefined ? {} : { enabled }),
    };
    if (Object.keys(body).length === 0) throw new UsageError('Nothing to change was given.');
    const api = await this.connectIdentity();
    await api.identity('PATCH', `/users/${await accountId(api, 'user', idOrName)}`, { user: body });
  },
});

const {
  list,
  show,
  delete: remove,
} = commandsOf({
  place: inIdentity('user'),
  argument: user,
  columns: ACCOUNT_COLUMNS,
  row: accountRow,
  detail,
  list: docs('List the users', ['godwit user list']),
  show: docs('Show a user', ['godwit user show mona']),
  delete: docs('Delete a user and end its sessions', ['godwit user delete mona']),
});

export const routes = buildRouteMap<string, CliContext>({
  docs: { brief: 'Who may sign in' },
  routes: { create, list, show, set, delete: remove },
});

function detail(object: ApiObject): Row {
  return {
    id: object.id ?? null,
    name: object.name ?? null,
    enabled: object.enabled ?? null,
    default_project_id: object.default_project_id ?? null,
    domain_id: object.domain_id ?? null,
  };
}
