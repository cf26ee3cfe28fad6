import type { LightMyRequestResponse } from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ServedApi } from './served-api.ts';

/** Every path with every method, each with bodies that nobody should send: refused in the documented shape, never a defect. */

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;
type Method = (typeof METHODS)[number];

interface Schema {
  $ref?: string;
  properties?: Record<string, Schema>;
}
interface Operation {
  requestBody?: { content: { 'application/json'?: { schema: Schema } } };
}
interface Document {
  paths: Record<string, Record<string, Operation> & { servers?: { url: string }[] }>;
  components: { schemas: Record<string, Schema> };
}
interface Route {
  path: string;
  method: Method;
  operation: Operation | undefined;
}

const BODY_LIMIT = 200_000;

let api: ServedApi;
let document: Document;
let routes: Route[];
let known: string;
beforeAll(async () => {
  api = await ServedApi.start({ config: { bodyLimit: BODY_LIMIT } });
  document = (await api.app.inject('/openapi.json')).json();
  known = await api.transfer(api.admin, 'known');
  routes = Object.entries(document.paths).flatMap(([path, item]) => {
    const below = item.servers === undefined ? [`/v1${path}`] : [path];
    const older = path.startsWith('/transfers') ? [`/v1${path.replace('transfers', 'replicas')}`] : [];
    return [...below, ...older].flatMap((one) =>
      METHODS.map((method) => ({ path: one, method, operation: item[method.toLowerCase()] })),
    );
  });
});
afterAll(() => api[Symbol.asyncDispose]());

/** What a value may be that was meant to be another. */
const WRONG: readonly unknown[] = [
  null,
  true,
  -1,
  1.5,
  2 ** 53,
  '',
  '𝔘nicode \u202e\u0301 ﷽ \u{1f9ea}',
  "'; drop table transfer; --",
  'x'.repeat(5_000),
  [],
  [[[null]]],
  [null, 1, 'a', {}],
  { constructor: { prototype: 1 }, toString: null, length: -1 },
  nested(60, {}),
];

/** Whole bodies that are no JSON object, or none that can be kept. */
const BODIES: readonly string[] = ['', 'null', '[]', '1e999', '{', '{"\\u0000": 1}', '{"a": "\\ud800"}', '{"a": null}'];
/** Those that are refused before anybody looks at the path: asked of some. */
const HEAVY: readonly string[] = [
  '\ufeff{}',
  '{"a": 1,}',
  '{"__proto__": {"a": 1}}',
  '['.repeat(50_000),
  JSON.stringify(nested(100, 1)),
  JSON.stringify({ a: 'x'.repeat(BODY_LIMIT) }),
  JSON.stringify(Array.from({ length: 20_000 }, (_, i) => i)),
];

function nested(depth: number, core: unknown): unknown {
  let value = core;
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? { a: value } : [value];
  return value;
}

function resolved(schema: Schema): Schema {
  return schema.$ref === undefined ? schema : document.components.schemas[schema.$ref.split('/').at(-1)!]!;
}

/** Bodies of the operation's own keys, each value in turn something else: now the envelope, now what is in it. */
function wrongBodies(schema: Schema): string[] {
  const { properties = {} } = resolved(schema);
  const filled = (keys: readonly string[], value: unknown) => Object.fromEntries(keys.map((key) => [key, value]));
  const inner = (value: unknown) =>
    Object.entries(properties).map(([key, one]) => {
      const below = Object.keys(resolved(one).properties ?? {});
      return [key, below.length === 0 ? value : filled(below, value)];
    });
  const envelopes = [null, 'x', []].map((value) => JSON.stringify(filled(Object.keys(properties), value)));
  return [...envelopes, ...WRONG.map((value) => JSON.stringify(Object.fromEntries(inner(value))))];
}

/** Some at a time, so that answers are not waited for one by one. */
async function askAll(asked: readonly (readonly [Route, string | undefined])[]): Promise<void> {
  const left = [...asked];
  const asker = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) await ask(...next);
  };
  await Promise.all(Array.from({ length: 8 }, asker));
}

async function ask({ path, method }: Route, body: string | undefined): Promise<void> {
  const url = path.replace(/\{\w+\}/g, known);
  const headers = body === undefined ? {} : { 'content-type': 'application/json' };
  const answer = await api.admin.request(method as 'GET', url, body, headers);
  expectDocumented(answer, method, url, `${method} ${url} ${body?.slice(0, 200)} -> ${answer.body.slice(0, 500)}`);
}

function expectDocumented(answer: LightMyRequestResponse, method: Method, url: string, shown: string): void {
  const { statusCode, body } = answer;
  if (statusCode < 400 || method === 'HEAD') {
    expect(statusCode, shown).toBeLessThan(500);
  } else if (statusCode >= 500) {
    expect(body, shown).toContain('NoSuitableWorkerServiceError');
  } else if (!('error' in answer.json())) {
    expect(answer.json(), shown).toEqual({ message: expect.any(String), code: '404 Not Found', title: 'Not Found' });
  } else if (url.startsWith('/identity') || statusCode === 401) {
    const error = { code: statusCode, title: expect.any(String), message: expect.any(String) };
    expect(answer.json(), shown).toEqual({ error });
  } else {
    const error = { fault: expect.any(String), code: statusCode, message: expect.stringMatching(/\S/) };
    expect(answer.json(), shown).toEqual({ error });
    expect(JSON.parse(String(answer.headers['x-godwit-error'])), shown).toHaveProperty('remedy');
  }
}

/** Left out: the stream that does not end; the end of this session. */
const isAsked = ({ path, method }: Route) =>
  !(method === 'DELETE' && path.endsWith('/auth/tokens')) && !(method === 'GET' && /\/events$/.test(path));

describe('a bad body is refused in the documented shape', () => {
  test('by every path and method, PATCH included', async () => {
    const asked = routes.filter(isAsked);
    expect(asked.length).toBeGreaterThan(400);
    await askAll(
      asked.flatMap((route): [Route, string | undefined][] => {
        if (route.method === 'GET' || route.method === 'HEAD') return [[route, undefined]];
        // A method that is not there answers before it looks at the body.
        return (route.operation === undefined ? ['{'] : BODIES).map((body) => [route, body]);
      }),
    );
  });

  test('however large, deep or poisoned it is', async () => {
    const asked = routes.filter(({ path }) => ['/v1/transfers', '/v1/migrations', '/v1/nothing'].includes(path));
    const writing = asked.filter(({ method }) => ['POST', 'PUT', 'PATCH', 'DELETE'].includes(method));
    await askAll(writing.flatMap((route) => HEAVY.map((body) => [route, body] as const)));
  });

  test('when every known key holds a value of another kind', async () => {
    const asked = routes.filter(isAsked).flatMap((route) => {
      const schema = route.operation?.requestBody?.content['application/json']?.schema;
      return schema === undefined ? [] : wrongBodies(schema).map((body) => [route, body] as const);
    });
    expect(asked.length).toBeGreaterThan(400);
    await askAll(asked);
  });

  test('when a text for people is longer than anybody reads', async () => {
    const project_id = api.admin.projectId;
    const id = await api.endpoint(api.admin, 'noted');
    const ends = { origin_endpoint_id: id, destination_endpoint_id: id, instances: ['web01'] };
    const transfer = await api.transfer(api.admin, 'noted');
    const pool = { name: 'p', endpoint_id: id, os_type: 'linux', platform: 'source', environment_options: {} };
    const bodies = (text: string) =>
      [
        ['POST', '/v1/transfers', { transfer: { ...ends, notes: text } }],
        ['PUT', `/v1/transfers/${transfer}`, { transfer: { notes: text } }],
        ['POST', '/v1/migrations', { migration: { ...ends, notes: text } }],
        ['POST', '/v1/minion_pools', { minion_pool: { ...pool, notes: text } }],
        ['POST', '/v1/endpoints', { endpoint: { name: 'e', type: 'folder', connection_info: {}, description: text } }],
        ['PUT', `/v1/endpoints/${id}`, { endpoint: { description: text } }],
        ['POST', '/v1/regions', { region: { name: 'r', description: text } }],
        ['POST', '/identity/v3/projects', { project: { name: 'q', description: text } }],
        ['PUT', `/v1/${project_id}/endpoints/${id}`, { endpoint: { description: text } }],
      ] as const;
    for (const [method, path, body] of bodies('x'.repeat(65_536))) {
      const answer = await api.admin.request(method, path, body);
      const { message } = answer.json().error;
      expect([path, answer.statusCode, message]).toEqual([path, 400, expect.stringContaining('more than 65535')]);
    }
    const whole = 'ü'.repeat(65_535);
    const kept = await api.admin.put(`/endpoints/${id}`, { endpoint: { description: whole } });
    expect(kept.json().endpoint.description).toBe(whole);
  });
});
