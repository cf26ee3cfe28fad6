import { GodwitError } from '@godwit/domain';
import { databaseError } from '@godwit/store';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { badRequest, NO_MEDIA_TYPE } from './request-error.ts';
import { errorHeader, fault, faultMessage, HIDDEN_MESSAGE, identityFault } from './wire/fault.ts';

export const REQUEST_ID = 'x-openstack-request-id';
export const API_REQUEST_ID = 'x-compute-request-id';
export const ERROR_HEADER = 'x-godwit-error';

declare module 'fastify' {
  interface FastifyInstance {
    /** Where tokens are to be had when it is not this server. */
    authUrl: string | null;
  }
}

/** Every refusal leaves through here, in the shape of the service that refuses. */
export function answerErrors(app: FastifyInstance, authUrl: string | undefined): void {
  app.decorate('authUrl', authUrl ?? null);
  app.setErrorHandler((thrown: FastifyError, request, reply) =>
    sendError(toGodwitError(thrown, request.routeOptions.bodyLimit), request, reply),
  );
  app.setNotFoundHandler((request, reply) => sendUnrouted(request, reply));
}

/** Anything that was thrown, as an error of the catalogue; what is not one becomes INTERNAL with it as cause. */
export function toGodwitError(thrown: unknown, bodyLimit = 0): GodwitError {
  if (thrown instanceof GodwitError) return thrown;
  const error = databaseError(thrown);
  if (error instanceof GodwitError) return error;
  const { code, statusCode } = error as Partial<FastifyError>;
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return new GodwitError('TOO_LARGE', 'the request', { limit: bodyLimit });
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return badRequest(NO_MEDIA_TYPE);
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return badRequest(error instanceof Error ? error.message : String(error));
  }
  return GodwitError.wrap(error, 'INTERNAL', 'the API');
}

export function sendError(error: GodwitError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (error.status >= 500) {
    const level = error.code === 'INTERNAL' ? 'error' : 'warn';
    request.log[level]({ err: error.cause ?? error, code: error.code, object: error.object }, error.message);
  }
  reply.code(error.status).header(ERROR_HEADER, errorHeader(error)).type('application/json');
  if (error.code === 'TOO_MANY_LOGINS') reply.header('retry-after', String(error.details.seconds ?? 60));
  if (error.status === 401) return sendUnauthorized(error, request, reply);
  if (isIdentity(request)) {
    const message = error.code === 'INTERNAL' ? HIDDEN_MESSAGE : error.message;
    return reply.send(identityFault(error.status, message));
  }
  const bare = request.method === 'DELETE' || (request.routeOptions.url ?? '').endsWith('/actions');
  return reply.send(fault(error.status, faultMessage(error, bare)));
}

/** The shape of the token middleware, which knows nothing of the API behind it. */
function sendUnauthorized(error: GodwitError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  reply.removeHeader(API_REQUEST_ID);
  const uri = request.server.authUrl ?? `${request.protocol}://${request.host}/identity/v3`;
  reply.header('www-authenticate', `Keystone uri="${uri}"`);
  return reply.send(identityFault(401, error.message));
}

const LOST = 'The resource could not be found.';

function sendUnrouted(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  reply.removeHeader(API_REQUEST_ID);
  reply.code(404);
  if (isIdentity(request)) return reply.send(identityFault(404, LOST));
  const accept = request.headers.accept ?? '*/*';
  if (accept.includes('text/html') && !accept.includes('application/json')) {
    const page = `<html>\n <head>\n  <title>404 Not Found</title>\n </head>\n <body>\n  <h1>404 Not Found</h1>\n  ${LOST}<br /><br />\n\n\n\n </body>\n</html>`;
    return reply.type('text/html; charset=UTF-8').send(page);
  }
  return reply.send({ message: `${LOST}<br /><br />\n\n\n`, code: '404 Not Found', title: 'Not Found' });
}

function isIdentity(request: FastifyRequest): boolean {
  return request.url.startsWith('/identity');
}
