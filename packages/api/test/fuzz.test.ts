import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ServedApi } from './served-api.ts';

/** Every documented operation, with generated paths, queries and bodies: a refusal is fine, a 500 never is. */

const RUNS = 30;
const METHODS = ['get', 'post', 'put', 'delete'] as const;

interface Operation {
  parameters?: { name: string; in: string }[];
  requestBody?: { content: { 'application/json'?: { schema: { $ref?: string } } } };
}
interface Document {
  paths: Record<string, Partial<Record<(typeof METHODS)[number], Operation>> & { servers?: { url: string }[] }>;
  components: { schemas: Record<string, Schema> };
}
interface Schema {
  $ref?: string;
  type?: string | string[];
  properties?: Record<string, Schema>;
  items?: Schema;
  enum?: unknown[];
  anyOf?: Schema[];
  additionalProperties?: boolean | Schema;
}

let api: ServedApi;
let document: Document;
let known: string[];
beforeAll(async () => {
  api = await ServedApi.start();
  document = (await api.app.inject('/openapi.json')).json();
  const transfer = await api.transfer(api.admin, 'fuzz');
  const execution = (await api.admin.post(`/transfers/${transfer}/executions`, {})).json().execution.id;
  const { endpoints } = (await api.admin.get('/endpoints')).json();
  known = [transfer, execution, endpoints[0].id, endpoints[1].id];
});
afterAll(() => api[Symbol.asyncDispose]());

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom(
    '',
    '\0',
    'null',
    '-1',
    '1e400',
    "'; drop table transfer; --",
    '\ud800',
    '../..',
    '%00',
    '{{7*7}}',
    '__proto__',
  ),
);
const word = () => fc.oneof({ weight: 2, arbitrary: text }, { weight: 3, arbitrary: fc.constantFrom(...known) });

/** A value that mostly fits the schema and sometimes is anything. */
function like(schema: Schema, depth = 0): fc.Arbitrary<unknown> {
  const anything = fc.jsonValue({ maxDepth: 3 });
  if (depth > 6) return anything;
  const fitting = (): fc.Arbitrary<unknown> => {
    if (schema.$ref) return like(document.components.schemas[schema.$ref.split('/').at(-1)!]!, depth);
    if (schema.anyOf) return fc.oneof(...schema.anyOf.map((one) => like(one, depth + 1)));
    if (schema.enum) return fc.constantFrom(...schema.enum);
    const types = [schema.type ?? 'object'].flat();
    return fc.oneof(...types.map((type) => ofType(type, schema, depth)));
  };
  return fc.oneof({ weight: 8, arbitrary: fitting() }, { weight: 1, arbitrary: anything });
}

function ofType(type: string, schema: Schema, depth: number): fc.Arbitrary<unknown> {
  switch (type) {
    case 'null':
      return fc.constant(null);
    case 'boolean':
      return fc.boolean();
    case 'integer':
    case 'number':
      return fc.oneof(fc.integer(), fc.double(), fc.constantFrom(0, -1, 2 ** 53, 1e308));
    case 'string':
      return word();
    case 'array':
      return fc.array(like(schema.items ?? {}, depth + 1), { maxLength: 4 });
    default: {
      const named = Object.entries(schema.properties ?? {}).map(
        ([key, inner]) => [key, like(inner, depth + 1)] as const,
      );
      const free = fc.dictionary(text, fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 });
      return fc
        .tuple(fc.record(Object.fromEntries(named), { requiredKeys: [] }), free)
        .map(([fixed, more]) => (schema.additionalProperties === false ? fixed : { ...more, ...fixed }));
    }
  }
}

function queryOf(operation: Operation): fc.Arbitrary<string> {
  const names = (operation.parameters ?? []).filter((one) => one.in === 'query').map((one) => one.name);
  const b64 = fc.oneof(
    text,
    fc.jsonValue().map((value) => Buffer.from(JSON.stringify(value)).toString('base64url')),
  );
  const pair = fc.tuple(fc.constantFrom(...names, 'limit', 'marker', 'sort_key'), fc.oneof(word(), b64));
  return fc
    .array(pair, { maxLength: 4 })
    .map((pairs) => pairs.map(([name, value]) => `${name}=${escaped(value)}`).join('&'));
}

const escaped = (value: string) => encodeURIComponent(value.toWellFormed()).slice(0, 200);

/** Operations that end the session, open a stream, or start and wait for what no worker here does. */
const LEFT_OUT = new Set(['/identity/v3/auth/tokens delete', '/events get']);

describe('no request is answered with a defect', () => {
  test('whatever its path, query and body are', { timeout: 240_000 }, async () => {
    const operations = Object.entries(document.paths).flatMap(([path, item]) =>
      METHODS.filter((method) => item[method] && !LEFT_OUT.has(`${path} ${method}`)).map((method) => {
        const base = item.servers === undefined ? '/v1' : '';
        return { path: base + path, method, operation: item[method]! };
      }),
    );
    for (const { path, method, operation } of operations) {
      const schema = operation.requestBody?.content['application/json']?.schema;
      const body = schema === undefined ? fc.constant(undefined) : like(schema);
      const places = path.match(/\{\w+\}/g) ?? [];
      const filled = fc.array(word(), { minLength: places.length, maxLength: places.length });
      await fc.assert(
        fc.asyncProperty(filled, queryOf(operation), body, async (values, query, payload) => {
          const url = values.reduce((rest, value) => rest.replace(/\{\w+\}/, () => escaped(value) || '_'), path);
          const answer = await api.admin.request(
            method.toUpperCase() as 'GET',
            query === '' ? url : `${url}?${query}`,
            payload === undefined ? undefined : JSON.stringify(payload),
            payload === undefined ? {} : { 'content-type': 'application/json' },
          );
          const shown = `${method} ${url}?${query} ${JSON.stringify(payload)} -> ${answer.body}`;
          if (answer.statusCode === 503) expect(answer.body, shown).toContain('NoSuitableWorkerServiceError');
          else expect(answer.statusCode, shown).toBeLessThan(500);
          if (answer.statusCode >= 400) expect(Object.keys(answer.json()), shown).toContain('error');
        }),
        { numRuns: RUNS, seed: 20_261_121 },
      );
    }
  });

  test('nor when the body is no JSON at all', async () => {
    const contentType = fc.constantFrom(
      'application/json',
      'text/plain',
      'application/xml',
      'nonsense',
      'application/json; charset=x',
    );
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), contentType, async (bytes, type) => {
        const answer = await api.admin.request('POST', '/v1/transfers', Buffer.from(bytes), { 'content-type': type });
        expect([400, 415]).toContain(answer.statusCode);
      }),
      { numRuns: 200, seed: 20_261_121 },
    );
  });
});
