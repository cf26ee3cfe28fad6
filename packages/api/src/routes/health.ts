import { GodwitError } from '@godwit/domain';
import { databaseError } from '@godwit/store';
import { Type } from 'typebox';
import type { App } from '../app.ts';
import { type ApiContext, rootUrl } from '../context.ts';
import { Exact } from '../schemas/json.ts';

const Versions = Type.Unsafe<object>({ title: 'Versions', type: 'object', additionalProperties: true });
const Health = Exact('Health', { status: Type.String() });

/** Routes that need no token: what is here, does it live, can it work. */
export function healthRoutes(app: App, { db, config }: ApiContext): void {
  app.get(
    '/',
    {
      schema: {
        operationId: 'listVersions',
        summary: 'Versions of the API',
        tags: ['service'],
        security: [],
        response: { 200: Versions },
      },
    },
    async (request) => ({
      versions: [
        {
          id: 'v1',
          status: 'CURRENT',
          updated: '2026-11-01T00:00:00Z',
          links: [{ rel: 'self', href: `${rootUrl(request, config)}/v1/` }],
        },
      ],
    }),
  );

  app.get(
    '/healthz',
    {
      schema: {
        operationId: 'getHealth',
        summary: 'The process answers',
        tags: ['service'],
        security: [],
        response: { 200: Health },
      },
    },
    async () => ({ status: 'ok' }),
  );

  app.get(
    '/readyz',
    {
      schema: {
        operationId: 'getReadiness',
        summary: 'It can serve: the database answers and has its tables',
        tags: ['service'],
        security: [],
        response: { 200: Health },
      },
    },
    async () => {
      try {
        await db.selectFrom('setting').select('key').limit(1).execute();
      } catch (error) {
        throw GodwitError.wrap(databaseError(error), 'DATABASE_UNAVAILABLE', 'the database');
      }
      return { status: 'ready' };
    },
  );
}
