import { Type } from 'typebox';
import type { App } from '../app.ts';
import type { Authenticator } from '../identity/authenticator.ts';
import type { Policy } from '../identity/policy.ts';
import type { Metrics } from '../metrics.ts';

/** Counts need no token: scrapers have none. What names transfers, instances and disks needs an administrator's. */
export function metricsRoutes(app: App, metrics: Metrics, authenticator: Authenticator, policy: Policy): void {
  app.get(
    '/metrics',
    {
      schema: {
        operationId: 'getMetrics',
        summary: 'Prometheus metrics',
        description:
          'Without a token counts alone; with an administrator’s (X-Auth-Token, or Authorization: Bearer) also the bytes of each disk by name.',
        tags: ['service'],
        security: [],
        produces: ['text/plain'],
        response: { 200: Type.String() },
      },
    },
    async (request, reply) => {
      const bearer = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
      const given = request.headers['x-auth-token'] ?? bearer;
      const caller = typeof given === 'string' ? await authenticator.authenticate(given) : undefined;
      const all =
        caller !== undefined &&
        policy.allows('context_is_admin', caller, { project_id: caller.projectId, user_id: caller.userId });
      const texts = await Promise.all(
        (all ? [metrics.counts, metrics.names] : [metrics.counts]).map((one) => one.metrics()),
      );
      return reply.type(metrics.counts.contentType).serializer(String).send(texts.join('\n'));
    },
  );
}
