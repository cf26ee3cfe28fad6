import { GodwitError } from '@godwit/domain';
import type { App } from '../app.ts';
import type { ApiContext } from '../context.ts';
import { schemasOfType } from '../provider-description.ts';
import { Params } from '../schemas/params.ts';
import { ProviderSchemasAnswer, ProvidersAnswer } from '../schemas/provider.ts';

export function providerRoutes(app: App, { providers }: ApiContext): void {
  app.get(
    '/providers',
    {
      schema: {
        operationId: 'listProviders',
        summary: 'Platforms and their abilities',
        tags: ['providers'],
        response: { 200: ProvidersAnswer },
      },
    },
    async () => ({
      providers: Object.fromEntries([...providers.values()].map(({ name, types }) => [name, { types }])),
    }),
  );

  app.get(
    '/providers/:platform/schemas/:type',
    {
      schema: {
        operationId: 'getProviderSchemas',
        summary: 'JSON Schema of a platform, by type number',
        description: '16 connection, 4 destination environment, 8 source environment, 524288 and 1048576 minion pools',
        tags: ['providers'],
        params: Params('platform', 'type'),
        response: { 200: ProviderSchemasAnswer },
      },
    },
    async (request) => {
      const { platform, type } = request.params;
      const provider = providers.get(platform);
      const schemas = provider && /^\d{1,9}$/.test(type) ? schemasOfType(provider, Number(type)) : undefined;
      if (schemas === undefined) {
        throw new GodwitError('ABSENT', platform, { reason: `Provider not found for: ${platform}, ${type}` });
      }
      return { schemas };
    },
  );
}
