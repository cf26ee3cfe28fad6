import websocket from '@fastify/websocket';
import Fastify, { type FastifyInstance, LogController } from 'fastify';
import type { App } from './app.ts';
import { auditRequests } from './audit.ts';
import { demandTokens } from './authentication.ts';
import { demandPolicies } from './authorization.ts';
import { readBodies } from './body-parser.ts';
import { answerClientError } from './client-error.ts';
import type { ApiContext } from './context.ts';
import type { ApiDeps } from './deps.ts';
import { answerErrors, sendError, toGodwitError } from './error-handler.ts';
import { EventFeed } from './event-feed.ts';
import { EventReaders } from './event-readers.ts';
import { LOGS_ROOT } from './identity/keystone-document.ts';
import { LocalAuthenticator } from './identity/local-authenticator.ts';
import { Policy } from './identity/policy.ts';
import { migrationRoutes } from './legacy/migrations.ts';
import { routedUrl, speakOldReplicas } from './legacy/replicas.ts';
import { countRequests } from './metrics.ts';
import { documentRoutes } from './openapi.ts';
import { describeProvider } from './provider-description.ts';
import { RememberedAnswers, writeAnswer } from './remembered-answers.ts';
import { newRequestId } from './request-id.ts';
import { accountRoutes } from './routes/accounts.ts';
import { auditRoutes } from './routes/audit.ts';
import { deploymentRoutes } from './routes/deployments.ts';
import { diagnosticsRoutes } from './routes/diagnostics.ts';
import { endpointContentRoutes } from './routes/endpoint-contents.ts';
import { endpointRoutes } from './routes/endpoints.ts';
import { eventRoutes } from './routes/events.ts';
import { executionRoutes } from './routes/executions.ts';
import { healthRoutes } from './routes/health.ts';
import { identityRoutes } from './routes/identity.ts';
import { ledgerRoutes } from './routes/ledger.ts';
import { endpointLimitRoutes, transferLimitRoutes } from './routes/limits.ts';
import { logRoutes } from './routes/logs.ts';
import { metricsRoutes } from './routes/metrics.ts';
import { minionPoolRoutes } from './routes/minion-pools.ts';
import { providerRoutes } from './routes/providers.ts';
import { receiptRoutes } from './routes/receipts.ts';
import { regionRoutes } from './routes/regions.ts';
import { replicaDiskRoutes } from './routes/replica-disks.ts';
import { resourceRoutes } from './routes/resources.ts';
import { scheduleRoutes } from './routes/schedules.ts';
import { serviceRoutes } from './routes/services.ts';
import { transferRoutes } from './routes/transfers.ts';
import { webhookRoutes } from './routes/webhooks.ts';
import { validateBodies } from './validation.ts';

const BODY_LIMIT = 4 * 1024 * 1024;
/** Longest path segment: identifiers of instances travel in base64. */
const LONGEST_SEGMENT = 4_096;

/**
 * The HTTP API, ready to listen or to inject into. It opens no port and owns nothing that was given to it: closing it ends
 * its event streams and its listening connection, and leaves the store and the engine open.
 */
export async function buildApi(deps: ApiDeps): Promise<FastifyInstance> {
  const clock = deps.clock ?? (() => new Date());
  const app = Fastify({
    ...(deps.logger ? { loggerInstance: deps.logger } : { logger: false }),
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: newRequestId,
    requestIdHeader: false,
    trustProxy: deps.config.trustedProxies?.length ? [...deps.config.trustedProxies] : false,
    bodyLimit: deps.config.bodyLimit ?? BODY_LIMIT,
    routerOptions: { maxParamLength: LONGEST_SEGMENT },
    rewriteUrl: (request) => routedUrl(request, withoutSuffix(ofConsole(request.url ?? '/'))),
    clientErrorHandler: answerClientError,
    // A URL that cannot be decoded never reaches a hook.
    frameworkErrors: (error, request, reply) => sendError(toGodwitError(error), request, reply),
  });
  const { db } = deps.connection;
  const tokens = new LocalAuthenticator(db, clock);
  const feed = new EventFeed(db, deps.connection.url, app.log);
  const readers = new EventReaders(deps.config.eventReaders);
  const context: ApiContext = {
    db,
    engine: deps.engine,
    secrets: deps.secrets,
    providers: new Map(deps.providers.map((provider) => [provider.name, describeProvider(provider)])),
    config: deps.config,
    clock,
    externalSecrets: deps.externalSecrets,
    remembered: new RememberedAnswers(clock),
  };

  readBodies(app);
  validateBodies(app);
  // Answers are built key by key in wire/; a serializer that drops or coerces would only hide a mistake there.
  app.setSerializerCompiler(() => writeAnswer);
  answerErrors(app, deps.authUrl);
  const trail = auditRequests(app, db, deps.config.auditBacklog);
  const policy = new Policy(deps.config.policies);
  const authenticator = deps.authenticator ?? tokens;
  demandTokens(app, authenticator, policy);
  demandPolicies(app, policy);
  speakOldReplicas(app, db);
  const metrics = countRequests(app, db, feed, trail);
  app.addHook('onResponse', async (request, reply) => {
    request.log.debug(
      { method: request.method, url: request.routeOptions.url, status: reply.statusCode, ms: reply.elapsedTime },
      'request',
    );
  });
  app.addHook('onClose', () => feed.close());
  await documentRoutes(app, deps.config.version);

  await app.register(websocket);
  await app.register(async (logs) => logRoutes(logs as App, context), { prefix: LOGS_ROOT });
  healthRoutes(app as App, context);
  metricsRoutes(app as App, metrics, authenticator, policy);
  if (deps.authenticator === undefined) {
    identityRoutes(app as App, context, tokens);
    accountRoutes(app as App, context, tokens);
  }
  for (const prefix of ['/v1', '/v1/:project_id']) {
    await app.register(
      async (v1) => {
        for (const routes of PROJECT_ROUTES) routes(v1 as App, context);
        eventRoutes(v1 as App, context, feed, readers);
      },
      { prefix },
    );
  }
  await app.ready();
  return app;
}

const PROJECT_ROUTES = [
  providerRoutes,
  regionRoutes,
  serviceRoutes,
  endpointRoutes,
  endpointContentRoutes,
  endpointLimitRoutes,
  transferRoutes,
  transferLimitRoutes,
  replicaDiskRoutes,
  executionRoutes,
  scheduleRoutes,
  minionPoolRoutes,
  deploymentRoutes,
  migrationRoutes,
  diagnosticsRoutes,
  resourceRoutes,
  receiptRoutes,
  ledgerRoutes,
  auditRoutes,
  webhookRoutes,
];

/**
 * The contract's web console finds its services below one URL by these names: the API below `/coriolis`, Keystone v3 below
 * `/identity` without its version.
 */
function ofConsole(url: string): string {
  if (/^\/coriolis(?=[/?]|$)/.test(url)) return `/v1${url.slice('/coriolis'.length)}`;
  return url.replace(/^\/identity(?=\/(?:auth|users|roles|projects|role_assignments)(?:[/?]|$))/, '/identity/v3');
}

/** The contract's clients may end a path with a format. */
function withoutSuffix(url: string): string {
  if (!url.startsWith('/v1/')) return url;
  const end = url.indexOf('?');
  const path = end < 0 ? url : url.slice(0, end);
  return /\.(json|xml)$/.test(path) ? path.replace(/\.(json|xml)$/, '') + (end < 0 ? '' : url.slice(end)) : url;
}
