import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import { ErrorBody, IdentityErrorBody } from './schemas/error.ts';

/** Path prefix of the migration API without a project: the form that is documented. */
const PREFIX = '/v1';
const WITH_PROJECT = '/v1/:project_id';

type Node = { [key: string]: unknown };

/**
 * Collects the routes into an OpenAPI 3.1 document at /openapi.json and shows it at /docs. Paths of the migration API are
 * relative to the server `/v1/{project_id}`; the others name the root as their server. Call before routes are added.
 */
export async function documentRoutes(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Godwit',
        version,
        description:
          'Moves workloads between clouds and hypervisors. The migration API speaks the wire contract of OpenStack Coriolis; the differences are in docs/coriolis-compatibility.md.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [
        {
          url: '/v1/{project_id}',
          description: 'As the catalog names it; the project id may be left out',
          variables: { project_id: { default: 'project' } },
        },
      ],
      components: {
        securitySchemes: { token: { type: 'apiKey', in: 'header', name: 'X-Auth-Token' } },
      },
      security: [{ token: [] }],
    },
    transform: ({ schema, url }) => {
      if (url.startsWith(WITH_PROJECT)) return { schema: { ...schema, hide: true }, url };
      const below = url.startsWith(`${PREFIX}/`);
      const body = url.startsWith('/identity') ? IdentityErrorBody : ErrorBody;
      const known = schema?.response as Node | undefined;
      const documented =
        known === undefined
          ? schema
          : { ...schema, response: { ...known, default: { ...body, description: 'Refused' } } };
      return { schema: documented, url: below ? url.slice(PREFIX.length) : `${ROOT}${url}` };
    },
    transformObject: (document) =>
      'openapiObject' in document ? finished(document.openapiObject as unknown as Node) : document.swaggerObject,
  });
  await app.register(swaggerUi, { routePrefix: '/docs', uiConfig: { persistAuthorization: false } });
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
}

/** Marks, between transform and transformObject, the paths that are not below the migration API. */
const ROOT = '/~root';

function finished(document: Node): Node {
  const paths = document.paths as Record<string, Node>;
  const sorted: Record<string, Node> = {};
  for (const path of Object.keys(paths).sort()) {
    const item = paths[path]!;
    if (path.startsWith(ROOT)) sorted[path.slice(ROOT.length)] = { ...item, servers: [{ url: '/' }] };
    else sorted[path] = item;
  }
  const named: Record<string, unknown> = {};
  const result = withNames({ ...document, paths: sorted }, named) as Node;
  const components = result.components as Node;
  const schemas = Object.fromEntries(Object.entries(named).sort(([a], [b]) => (a < b ? -1 : 1)));
  return { ...result, components: { ...components, schemas } };
}

/** Every schema that has a title becomes a component of that name, and a reference where it stood. */
function withNames(value: unknown, named: Record<string, unknown>): unknown {
  if (Array.isArray(value)) return value.map((item) => withNames(item, named));
  if (typeof value !== 'object' || value === null) return value;
  const node = value as Node;
  const inner = Object.fromEntries(
    Object.entries(node).map(([key, item]) => [key, key === 'examples' ? item : withNames(item, named)]),
  );
  const { title } = node;
  const isSchema = typeof title === 'string' && ('type' in node || 'anyOf' in node);
  if (!isSchema) return inner;
  const { title: _title, description, ...body } = inner;
  const nullable = Array.isArray(body.type) && body.type.includes('null');
  const schema = nullable ? { ...body, type: (body.type as string[]).find((type) => type !== 'null') } : body;
  named[title] = description === undefined || nullable ? schema : { description, ...schema };
  const reference = { $ref: `#/components/schemas/${title}` };
  return nullable ? { anyOf: [reference, { type: 'null' }] } : reference;
}
