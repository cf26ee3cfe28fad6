import { createHash } from 'node:crypto';
import { GodwitError } from '@godwit/domain';
import * as store from '@godwit/store';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { App } from '../app.ts';
import { type ApiContext, noContent, rootUrl } from '../context.ts';
import { catalog, projectsDocument, tokenDocument, versionDocument } from '../identity/keystone-document.ts';
import type { LocalAuthenticator } from '../identity/local-authenticator.ts';
import { LoginLimit } from '../identity/login-limit.ts';
import { readTokenRequest, type TokenRequest } from '../identity/token-request.ts';
import { NoContent } from '../schemas/params.ts';

const SUBJECT = 'x-subject-token';
const Document = Type.Unsafe<object>({ type: 'object', additionalProperties: true });

const TokenBody = Type.Unsafe<unknown>({
  title: 'TokenAction',
  type: 'object',
  required: ['auth'],
  properties: { auth: { type: 'object' } },
  examples: [
    {
      auth: {
        identity: {
          methods: ['password'],
          password: { user: { name: 'admin', domain: { id: 'default' }, password: 'secret' } },
        },
        scope: { project: { name: 'admin', domain: { id: 'default' } } },
      },
    },
  ],
});

/** Godwit's own identity, as much of Keystone v3 as its clients use: one domain, users, projects, roles. */
export function identityRoutes(app: App, api: ApiContext, tokens: LocalAuthenticator): void {
  const { db, config } = api;
  const tags = ['identity'];
  const limit = new LoginLimit(api.clock);
  const unauthorized = () => new GodwitError('UNAUTHORIZED', 'the request');

  async function prove(
    { proof }: TokenRequest,
    request: FastifyRequest,
  ): Promise<{ userId: string; fallback: string | null }> {
    if (proof.method === 'token') {
      const owner = await store.findToken(db, proof.token);
      if (owner === undefined) throw unauthorized();
      return { userId: owner.userId, fallback: null };
    }
    const { user: who, password } = proof;
    const name = 'id' in who ? who.id : who.name;
    // An account counts once, whether it is named or given by its id.
    const account = (await store.accountId(db, who)) ?? `unknown ${name}`;
    const attempt = { account, name, address: request.ip };
    const user = await limit.check(attempt, () => store.authenticate(db, who, password));
    if (user === undefined) throw unauthorized();
    return { userId: user.id, fallback: user.default_project_id };
  }

  async function projectOf(scope: TokenRequest['scope'], fallback: string | null): Promise<string | null> {
    if (scope === 'unscoped') return null;
    if (scope === 'default') return fallback;
    const project = await store.findProject(db, scope);
    if (project === undefined) throw unauthorized();
    return project.id;
  }

  /** The caller's own token. */
  async function callerToken(request: FastifyRequest): Promise<store.TokenOwner> {
    const token = request.headers['x-auth-token'];
    const owner = typeof token === 'string' ? await store.findToken(db, token) : undefined;
    if (owner === undefined) throw unauthorized();
    return owner;
  }

  /** The token that the request is about: one's own, or anybody's for administrators. */
  async function subject(request: FastifyRequest): Promise<{ token: string; owner: store.TokenOwner }> {
    const caller = await callerToken(request);
    const token = request.headers[SUBJECT];
    const owner = typeof token === 'string' ? await store.findToken(db, token) : undefined;
    if (typeof token !== 'string' || owner === undefined) {
      throw new GodwitError('ABSENT', 'token', { reason: 'Could not find token.' });
    }
    if (owner.userId !== caller.userId && !caller.roles.includes('admin')) {
      throw new GodwitError('FORBIDDEN', 'identity:validate_token', {
        reason: 'You are not authorized to perform the requested action.',
      });
    }
    return { token, owner };
  }

  for (const path of ['/identity/v3', '/identity/v3/']) {
    app.get(
      path,
      {
        schema: {
          operationId: path.endsWith('/') ? 'getIdentityVersionSlash' : 'getIdentityVersion',
          summary: 'Version document of the identity service',
          tags,
          response: { 200: Document },
        },
      },
      async (request) => ({ version: versionDocument(rootUrl(request, config)) }),
    );
  }

  for (const path of ['/identity', '/identity/']) {
    app.get(path, { schema: { hide: true } }, async (request, reply) =>
      reply.code(300).send({ versions: { values: [versionDocument(rootUrl(request, config))] } }),
    );
  }

  app.post(
    '/identity/v3/auth/tokens',
    {
      schema: {
        operationId: 'createToken',
        summary: 'Sign in',
        description:
          'Methods password and token; scope project (by id, or by name with its domain), unscoped, or none for the default project. The token is in the X-Subject-Token header.',
        tags,
        security: [],
        body: TokenBody,
        response: { 201: Document },
      },
    },
    async (request, reply) => {
      const wanted = readTokenRequest(request.body);
      const { userId, fallback } = await prove(wanted, request);
      const projectId = await projectOf(wanted.scope, fallback);
      const issued = await store.issueToken(db, userId, projectId, (config.tokenSeconds ?? 43_200) * 1_000);
      const owner = await store.findToken(db, issued.token);
      if (owner === undefined) throw unauthorized();
      // For the audit: whose sign-in it was.
      request.caller = owner;
      reply.code(201).header(SUBJECT, issued.token).header('vary', 'X-Auth-Token');
      return tokenDocument(
        { ...owner, method: wanted.proof.method, auditId: auditId(issued.token) },
        rootUrl(request, config),
      );
    },
  );

  app.get(
    '/identity/v3/auth/tokens',
    {
      schema: {
        operationId: 'getToken',
        summary: 'What a token speaks for',
        description: 'The token is named by the X-Subject-Token header.',
        tags,
        response: { 200: Document },
      },
    },
    async (request, reply) => {
      const { token, owner } = await subject(request);
      reply.header(SUBJECT, token).header('vary', 'X-Auth-Token');
      return tokenDocument({ ...owner, method: 'password', auditId: auditId(token) }, rootUrl(request, config));
    },
  );

  app.delete(
    '/identity/v3/auth/tokens',
    { schema: { operationId: 'revokeToken', summary: 'Sign out', tags, response: { 204: NoContent } } },
    async (request, reply) => {
      const { token } = await subject(request);
      await store.revokeToken(db, token);
      tokens.forget(token);
      return noContent(reply);
    },
  );

  app.get(
    '/identity/v3/auth/projects',
    {
      schema: {
        operationId: 'listAuthProjects',
        summary: 'Projects that the caller has a role in',
        tags,
        response: { 200: Document },
      },
    },
    async (request) => {
      const { userId } = await callerToken(request);
      const self = `${rootUrl(request, config)}/identity/v3/auth/projects`;
      return projectsDocument(await store.projectsOfUser(db, userId), self);
    },
  );

  app.get(
    '/identity/v3/auth/catalog',
    { schema: { operationId: 'getCatalog', summary: 'The catalog', tags, response: { 200: Document } } },
    async (request) => {
      const { projectId } = await callerToken(request);
      if (projectId === null) throw new GodwitError('FORBIDDEN', 'catalog', { reason: 'The token has no project.' });
      const root = rootUrl(request, config);
      return { catalog: catalog(root, projectId), links: { self: `${root}/identity/v3/auth/catalog` } };
    },
  );
}

/** Names a token in logs without being it. */
function auditId(token: string): string {
  return createHash('sha256').update(`audit ${token}`).digest('base64url').slice(0, 22);
}
