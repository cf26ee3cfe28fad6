import { buildCommand, buildRouteMap } from '@stricli/core';
import { type IdentityApi, listOf, objectOf, textAt } from '../api.ts';
import type { CliContext } from '../context.ts';
import { args, argument, docs, type ListFlags, listFlags, outputAliases, requiredText } from '../flags.ts';
import { printList } from '../print.ts';
import { accountId } from './account.ts';

const flags = {
  user: requiredText('User (id or name)', 'USER'),
  project: requiredText('Project (id or name)', 'PROJECT'),
};

type Flags = { user: string; project: string };
const role = args(argument('ROLE', 'admin, member, reader, or one that the policy file names'));

async function pathOf(api: IdentityApi, { user, project }: Flags, name: string): Promise<string> {
  const [projectId, userId] = [await accountId(api, 'project', project), await accountId(api, 'user', user)];
  // Keystone's roles have ids of their own; Godwit's are their names.
  const known = listOf(await api.identity('GET', '/roles'), 'roles').find((one) => one.name === name);
  return `/projects/${projectId}/users/${userId}/roles/${encodeURIComponent(known ? textAt(known, 'id') : name)}`;
}

const add = buildCommand<Flags, [string], CliContext>({
  docs: docs('Give a user a role in a project', ['godwit role add member --user mona --project tenant']),
  parameters: { flags, positional: role },
  async func(given, name) {
    const api = await this.connectIdentity();
    await api.identity('PUT', await pathOf(api, given, name));
  },
});

const remove = buildCommand<Flags, [string], CliContext>({
  docs: docs('Take a role away', ['godwit role remove member --user mona --project tenant']),
  parameters: { flags, positional: role },
  async func(given, name) {
    const api = await this.connectIdentity();
    await api.identity('DELETE', await pathOf(api, given, name));
  },
});

const list = buildCommand<ListFlags, [], CliContext>({
  docs: docs('List who has which role in which project', ['godwit role assignment list']),
  parameters: { flags: listFlags, aliases: outputAliases },
  async func(given) {
    const api = await this.connectIdentity();
    const rows = listOf(await api.identity('GET', '/role_assignments?include_names=True'), 'role_assignments').map(
      (one) => ({
        Role: objectOf(one, 'role').name ?? null,
        User: objectOf(one, 'user').name ?? null,
        Project: objectOf(objectOf(one, 'scope'), 'project').name ?? null,
      }),
    );
    await printList(this, given, ['Role', 'User', 'Project'], rows);
  },
});

export const routes = buildRouteMap<string, CliContext>({
  docs: { brief: 'What users may do in projects' },
  routes: {
    add,
    remove,
    assignment: buildRouteMap({ docs: { brief: 'Roles that were given' }, routes: { list } }),
  },
});
