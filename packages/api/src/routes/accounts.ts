// Over 400 lines: users, projects and roles are one matter, each route with its schema beside it.
import { GodwitError } from '@godwit/domain';
import * as store from '@godwit/store';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { App } from '../app.ts';
import { type ApiContext, noContent, rootUrl } from '../context.ts';
import { assignmentsDocument, projectDocument, rolesDocument, userDocument } from '../identity/keystone-document.ts';
import type { LocalAuthenticator } from '../identity/local-authenticator.ts';
import { single } from '../list-query.ts';
import { badRequest, taken } from '../request-error.ts';
import { FreeText } from '../schemas/json.ts';
import { NoContent, Params, Query } from '../schemas/params.ts';

const Document = Type.Unsafe<object>({ type: 'object', additionalProperties: true });
const name = Type.String({ minLength: 1, maxLength: 255 });
const password = Type.String({ minLength: 8, maxLength: 512 });
const flag = Type.Optional(Type.Boolean());
const open = { additionalProperties: true };

const userFields = { enabled: flag, default_project_id: Type.Optional(Type.Union([Type.String(), Type.Null()])) };
const UserCreate = Type.Object(
  { user: Type.Object({ name, password, ...userFields }, open) },
  { title: 'UserCreate', examples: [{ user: { name: 'mona', password: 'a long secret' } }] },
);
const UserUpdate = Type.Object(
  { user: Type.Object({ name: Type.Optional(name), password: Type.Optional(password), ...userFields }, open) },
  { title: 'UserUpdate', examples: [{ user: { enabled: false } }] },
);
const projectFields = { description: Type.Optional(Type.Union([FreeText, Type.Null()])), enabled: flag };
const ProjectCreate = Type.Object(
  { project: Type.Object({ name, ...projectFields }, open) },
  { title: 'ProjectCreate', examples: [{ project: { name: 'tenant', description: 'the second floor' } }] },
);
const ProjectUpdate = Type.Object(
  { project: Type.Object({ name: Type.Optional(name), ...projectFields }, open) },
  { title: 'ProjectUpdate', examples: [{ project: { description: 'the third floor' } }] },
);

const ROLE = /^[\w-]{1,64}$/;

/** Users, projects and roles of the local identity, as much of Keystone's administration as its clients use. */
export function accountRoutes(app: App, { db, config }: ApiContext, tokens: LocalAuthenticator): void {
  const tags = ['identity'];
  const root = '/identity/v3';

  async function demandAdministrator(request: FastifyRequest): Promise<void> {
    const token = request.headers['x-auth-token'];
    const owner = typeof token === 'string' ? await store.findToken(db, token) : undefined;
    if (owner === undefined) throw new GodwitError('UNAUTHORIZED', 'the request');
    if (!owner.roles.includes('admin')) {
      throw new GodwitError('FORBIDDEN', 'identity', {
        reason: 'You are not authorized to perform the requested action.',
      });
    }
  }

  /** Nobody could let anybody in again. Asked within the transaction of the change, after it. */
  async function keepAnAdministrator(trx: store.Db): Promise<void> {
    if ((await store.administrators(trx)).length === 0) {
      throw new GodwitError('CONFLICT', 'the last administrator', {
        reason: 'nobody else could let anybody in again.',
      });
    }
  }

  const absent = (noun: string, id: string) =>
    new GodwitError('ABSENT', noun, { reason: `Could not find ${noun}: ${id}.` });

  function list<T>(request: FastifyRequest, key: string, items: T[]) {
    return { [key]: items, links: { next: null, self: `${rootUrl(request, config)}${root}/${key}`, previous: null } };
  }

  const guard = { onRequest: demandAdministrator };

  app.get(
    `${root}/users`,
    {
      ...guard,
      schema: {
        operationId: 'listUsers',
        summary: 'Users',
        tags,
        querystring: Query({ name: 'Only of this name' }),
        response: { 200: Document },
      },
    },
    async (request) => {
      const wanted = single(request.query, 'name');
      const users = (await store.listUsers(db)).filter((user) => wanted === undefined || user.name === wanted);
      return list(request, 'users', users.map(userDocument));
    },
  );

  app.get(
    `${root}/users/:user_id`,
    {
      ...guard,
      schema: {
        operationId: 'getUser',
        summary: 'One user',
        tags,
        params: Params('user_id'),
        response: { 200: Document },
      },
    },
    async (request) => {
      const user = await store.getUser(db, request.params.user_id);
      if (user === undefined) throw absent('user', request.params.user_id);
      return { user: userDocument(user) };
    },
  );

  app.post(
    `${root}/users`,
    {
      ...guard,
      schema: {
        operationId: 'createUser',
        summary: 'Make a user',
        tags,
        body: UserCreate,
        response: { 201: Document },
      },
    },
    async (request, reply) => {
      const wanted = request.body.user;
      const project = wanted.default_project_id ?? undefined;
      if (project !== undefined && (await store.getProject(db, project)) === undefined)
        throw absent('project', project);
      const user = await taken(`user ${wanted.name}`, () =>
        store.insertUser(db, {
          name: wanted.name,
          password: wanted.password,
          ...(project !== undefined && { defaultProjectId: project }),
        }),
      );
      const made = wanted.enabled === false ? await store.updateUser(db, user.id, { enabled: false }) : user;
      reply.code(201);
      return { user: userDocument(made ?? user) };
    },
  );

  app.patch(
    `${root}/users/:user_id`,
    {
      ...guard,
      schema: {
        operationId: 'updateUser',
        summary: 'Rename, enable, disable a user or set the password',
        tags,
        params: Params('user_id'),
        body: UserUpdate,
        response: { 200: Document },
      },
    },
    async (request) => {
      const id = request.params.user_id;
      const { name: newName, password: newPassword, enabled, default_project_id } = request.body.user;
      if (typeof default_project_id === 'string' && (await store.getProject(db, default_project_id)) === undefined) {
        throw absent('project', default_project_id);
      }
      const user = await taken(`user ${newName}`, () =>
        store.inTransaction(db, async (trx) => {
          const row = await store.updateUser(trx, id, {
            ...(newName !== undefined && { name: newName }),
            ...(newPassword !== undefined && { password: newPassword }),
            ...(enabled !== undefined && { enabled }),
            ...(default_project_id !== undefined && { default_project_id }),
          });
          if (enabled === false) await keepAnAdministrator(trx);
          return row;
        }),
      );
      tokens.forgetAll();
      if (user === undefined) throw absent('user', id);
      return { user: userDocument(user) };
    },
  );

  app.delete(
    `${root}/users/:user_id`,
    {
      ...guard,
      schema: {
        operationId: 'deleteUser',
        summary: 'Remove a user and end its sessions',
        tags,
        params: Params('user_id'),
        response: { 204: NoContent },
      },
    },
    async (request, reply) => {
      const id = request.params.user_id;
      const gone = await store.inTransaction(db, async (trx) => {
        const done = await store.deleteUser(trx, id);
        if (done) await keepAnAdministrator(trx);
        return done;
      });
      tokens.forgetAll();
      if (!gone) throw absent('user', id);
      return noContent(reply);
    },
  );

  app.get(
    `${root}/projects`,
    {
      ...guard,
      schema: {
        operationId: 'listProjects',
        summary: 'Projects',
        tags,
        querystring: Query({ name: 'Only of this name' }),
        response: { 200: Document },
      },
    },
    async (request) => {
      const wanted = single(request.query, 'name');
      const projects = (await store.listProjects(db)).filter((one) => wanted === undefined || one.name === wanted);
      return list(request, 'projects', projects.map(projectDocument));
    },
  );

  app.get(
    `${root}/projects/:project_id`,
    {
      ...guard,
      schema: {
        operationId: 'getProject',
        summary: 'One project',
        tags,
        params: Params('project_id'),
        response: { 200: Document },
      },
    },
    async (request) => {
      const project = await store.getProject(db, request.params.project_id);
      if (project === undefined) throw absent('project', request.params.project_id);
      return { project: projectDocument(project) };
    },
  );

  app.post(
    `${root}/projects`,
    {
      ...guard,
      schema: {
        operationId: 'createProject',
        summary: 'Make a project',
        tags,
        body: ProjectCreate,
        response: { 201: Document },
      },
    },
    async (request, reply) => {
      const wanted = request.body.project;
      const project = await taken(`project ${wanted.name}`, () =>
        store.insertProject(db, { name: wanted.name, description: wanted.description ?? '' }),
      );
      const made = wanted.enabled === false ? await store.updateProject(db, project.id, { enabled: false }) : project;
      reply.code(201);
      return { project: projectDocument(made ?? project) };
    },
  );

  app.patch(
    `${root}/projects/:project_id`,
    {
      ...guard,
      schema: {
        operationId: 'updateProject',
        summary: 'Change a project',
        tags,
        params: Params('project_id'),
        body: ProjectUpdate,
        response: { 200: Document },
      },
    },
    async (request) => {
      const id = request.params.project_id;
      const { name: newName, description, enabled } = request.body.project;
      const project = await taken(`project ${newName}`, () =>
        store.inTransaction(db, async (trx) => {
          const row = await store.updateProject(trx, id, {
            ...(newName !== undefined && { name: newName }),
            ...(description !== undefined && { description: description ?? '' }),
            ...(enabled !== undefined && { enabled }),
          });
          if (enabled === false) await keepAnAdministrator(trx);
          return row;
        }),
      );
      tokens.forgetAll();
      if (project === undefined) throw absent('project', id);
      return { project: projectDocument(project) };
    },
  );

  app.delete(
    `${root}/projects/:project_id`,
    {
      ...guard,
      schema: {
        operationId: 'deleteProject',
        summary: 'Remove a project that has nothing',
        description: 'Refused while it has endpoints, transfers, deployments or pools.',
        tags,
        params: Params('project_id'),
        response: { 204: NoContent },
      },
    },
    async (request, reply) => {
      const id = request.params.project_id;
      const left = await store.countObjects(db, id);
      if (left > 0) throw new GodwitError('CONFLICT', `project ${id}`, { reason: `it still has ${left} objects.` });
      const gone = await store.inTransaction(db, async (trx) => {
        const done = await store.deleteProject(trx, id);
        if (done) await keepAnAdministrator(trx);
        return done;
      });
      tokens.forgetAll();
      if (!gone) throw absent('project', id);
      return noContent(reply);
    },
  );

  app.get(
    `${root}/roles`,
    {
      ...guard,
      schema: { operationId: 'listRoles', summary: 'Roles that are known or given', tags, response: { 200: Document } },
    },
    async (request) => {
      const given = (await store.listRoleAssignments(db)).map((one) => one.role);
      return list(request, 'roles', rolesDocument([...new Set(['admin', 'member', 'reader', ...given])]));
    },
  );

  app.get(
    `${root}/role_assignments`,
    {
      ...guard,
      schema: {
        operationId: 'listRoleAssignments',
        summary: 'Who has which role in which project',
        tags,
        querystring: Query({
          'user.id': 'Only of this user',
          'scope.project.id': 'Only in this project',
          'role.id': 'Only this role',
          include_names: 'Names beside ids',
        }),
        response: { 200: Document },
      },
    },
    async (request) => {
      const filter = {
        userId: single(request.query, 'user.id'),
        projectId: single(request.query, 'scope.project.id'),
        role: single(request.query, 'role.id'),
      };
      const [rows, users, projects] = await Promise.all([
        store.listRoleAssignments(
          db,
          Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined)),
        ),
        store.listUsers(db),
        store.listProjects(db),
      ]);
      return list(request, 'role_assignments', assignmentsDocument(rows, users, projects));
    },
  );

  for (const method of ['PUT', 'DELETE'] as const) {
    app.route({
      method,
      url: `${root}/projects/:project_id/users/:user_id/roles/:role`,
      ...guard,
      schema: {
        operationId: method === 'PUT' ? 'giveRole' : 'takeRole',
        summary: method === 'PUT' ? 'Give a user a role in a project' : 'Take it away',
        tags,
        params: Params('project_id', 'user_id', 'role'),
        response: { 204: NoContent },
      },
      handler: async (request, reply) => {
        const { project_id: projectId, user_id: userId, role } = request.params as Record<string, string>;
        if (!ROLE.test(role!)) throw badRequest('A role is named by 1 to 64 letters, digits, _ or -.');
        if ((await store.getUser(db, userId!)) === undefined) throw absent('user', userId!);
        if ((await store.getProject(db, projectId!)) === undefined) throw absent('project', projectId!);
        await store.inTransaction(db, async (trx) => {
          if (method === 'PUT') return store.assignRole(trx, userId!, projectId!, role!);
          if (!(await store.removeRole(trx, userId!, projectId!, role!))) throw absent('role assignment', role!);
          return keepAnAdministrator(trx);
        });
        tokens.forgetAll();
        return noContent(reply);
      },
    });
  }
}
