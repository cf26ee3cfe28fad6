import { GodwitError } from '@godwit/domain';
import type { FastifyInstance } from 'fastify';
import { labelOf } from './authorization.ts';
import { API_REQUEST_ID, REQUEST_ID } from './error-handler.ts';
import { type Authenticator, isAdmin } from './identity/authenticator.ts';
import type { Policy } from './identity/policy.ts';
import { badRequest } from './request-error.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /**
     * False once the token of this request is revoked or has expired, or its roles no longer let it in as they did: to be
     * asked now and then by answers without end. While nobody can say, it stays as it was.
     */
    stillAllowed(): Promise<boolean>;
  }
}

/**
 * Everything below /v1 and /logs needs a token, unrouted paths too, before anything else is said about the request. A project in the
 * path must be the token's.
 */
export function demandTokens(app: FastifyInstance, authenticator: Authenticator, policy: Policy): void {
  app.decorateRequest('caller', null);
  app.decorateRequest('stillAllowed', async function () {
    const { caller, log } = this;
    const token = this.headers['x-auth-token'];
    if (caller === null || typeof token !== 'string') return false;
    try {
      const now = await authenticator.authenticate(token);
      if (now === undefined) return false;
      const own = { project_id: now.projectId, user_id: now.userId };
      return (
        policy.allows(labelOf(this) ?? 'context_is_admin', now, own) &&
        policy.allows('context_is_admin', now, own) === isAdmin(caller)
      );
    } catch (error) {
      log.warn({ err: error }, 'whether a reader may stay could not be asked');
      return true;
    }
  });
  app.addHook('onRequest', async (request, reply) => {
    reply.header(REQUEST_ID, request.id);
    if (request.url.includes('%00')) throw badRequest('Malformed request url');
    // By the route, not by the URL, which has other spellings.
    const where = request.is404 ? request.url : request.routeOptions.url;
    if (!/^\/(?:v1|logs)(?:[/?]|$)/.test(where ?? '')) return;
    const token = request.headers['x-auth-token'];
    const caller = typeof token === 'string' ? await authenticator.authenticate(token) : undefined;
    if (caller === undefined) throw new GodwitError('UNAUTHORIZED', 'the request');
    const own = { project_id: caller.projectId, user_id: caller.userId };
    request.caller = { ...caller, admin: policy.allows('context_is_admin', caller, own) };
    reply.header(API_REQUEST_ID, request.id);
    const params = request.params as { project_id?: string; [name: string]: string | undefined };
    // The router lets a parameter be empty: a slash at the end is another path, and no path of ours.
    if (Object.values(params).includes('')) return reply.callNotFound();
    const { project_id: project } = params;
    if (project !== undefined && project !== caller.projectId) {
      throw badRequest('Malformed request url');
    }
  });
}
