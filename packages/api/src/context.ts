import { GodwitError } from '@godwit/domain';
import type { EngineClient } from '@godwit/engine';
import type { Db, Scope, SecretBox } from '@godwit/store';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ApiConfig, ExternalSecrets } from './deps.ts';
import { type Caller, isAdmin } from './identity/authenticator.ts';
import type { ProviderDescription } from './provider-description.ts';
import type { RememberedAnswers } from './remembered-answers.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set on every route below /v1 before it runs. */
    caller: Caller | null;
  }
}

/** What routes share. */
export interface ApiContext {
  db: Db;
  engine: EngineClient;
  secrets: SecretBox;
  providers: ReadonlyMap<string, ProviderDescription>;
  config: ApiConfig;
  clock: () => Date;
  externalSecrets: ExternalSecrets | undefined;
  remembered: RememberedAnswers;
}

/** A caller with a project. */
export type ProjectCaller = Caller & { projectId: string };

export function callerOf(request: FastifyRequest): ProjectCaller {
  const caller = request.caller;
  if (caller === null || caller.projectId === null) throw new GodwitError('UNAUTHORIZED', 'the request');
  return caller as ProjectCaller;
}

/** Whose objects the caller may see: its project's, or everybody's for administrators. */
export function scopeOf(request: FastifyRequest): Scope {
  const caller = callerOf(request);
  return isAdmin(caller) ? undefined : caller.projectId;
}

/** Ends a request that has nothing to answer. */
export function noContent(reply: FastifyReply): FastifyReply {
  return reply.code(204).send();
}

/** Root of the URLs that an answer names. */
export function rootUrl(request: FastifyRequest, config: ApiConfig): string {
  return config.publicUrl ?? `${request.protocol}://${request.host}`;
}
