import type { Registry } from 'prom-client';
import { Type } from 'typebox';
import type { App } from '../app.ts';

/** No token: scrapers have none. It names transfers, instances and disks, so keep the port to those who may know. */
export function metricsRoutes(app: App, registry: Registry): void {
  app.get(
    '/metrics',
    {
      schema: {
        operationId: 'getMetrics',
        summary: 'Prometheus metrics',
        tags: ['service'],
        security: [],
        produces: ['text/plain'],
        response: { 200: Type.String() },
      },
    },
    async (_request, reply) =>
      reply
        .type(registry.contentType)
        .serializer(String)
        .send(await registry.metrics()),
  );
}
