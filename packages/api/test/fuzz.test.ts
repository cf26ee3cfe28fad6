import { text } from 'node:stream/consumers';
import { insertProject, insertUser } from '@godwit/store';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ServedApi } from './served-api.ts';

/**
 * Every documented operation, in both dialects and under each spelling of its path, with generated paths, queries, headers and
 * bodies: a refusal is fine, a 500 never is. A request that hangs, or a rejection that nobody handles, fails the file.
 */

const RUNS = 20;
/** Bodies that are no longer what they were, per operation. */
const BROKEN_RUNS = 15;
const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const;
type Method = (typeof METHODS)[number];

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
let operations: { path: string; method: Method; operation: Operation; old: boolean }[];
beforeAll(async () => {
  api = await ServedApi.start();
  document = (await api.app.inject('/openapi.json')).json();
  const transfer = await api.transfer(api.admin, 'fuzz');
  const execution = (await api.admin.post(`/transfers/${transfer}/executions`, {})).json().execution.id;
  const { endpoints } = (await api.admin.get('/endpoints')).json();
  const schedule = (await api.admin.post(`/transfers/${transfer}/schedules`, { schedule: { minute: 1 } })).json()
    .schedule.id;
  const region = (await api.admin.post('/regions', { region: { name: 'fuzz' } })).json().region.id;
  // Nobody's own: these may be deleted.
  const project = await insertProject(api.db, { name: 'spare' });
  const user = await insertUser(api.db, { name: 'spare', password: 'of no use at all', defaultProjectId: project.id });
  known = [transfer, execution, schedule, region, endpoints[0].id, endpoints[1].id, project.id, user.id];
  operations = Object.entries(document.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).flatMap((method) => {
      const one = {
        path: (item.servers === undefined ? '/v1' : '') + path,
        method,
        operation: item[method]!,
        old: false,
      };
      const older = { ...one, path: one.path.replace('/transfers', '/replicas'), old: true };
      return path.startsWith('/transfers') ? [one, older] : [one];
    }),
  );
  operations.push({ path: '/logs/api/v1/ws', method: 'get', operation: {}, old: false });
});
afterAll(() => api[Symbol.asyncDispose]());

const words = fc.oneof(
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
const word = () => fc.oneof({ weight: 2, arbitrary: words }, { weight: 3, arbitrary: fc.constantFrom(...known) });

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
      const free = fc.dictionary(words, fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 });
      return fc
        .tuple(fc.record(Object.fromEntries(named), { requiredKeys: [] }), free)
        .map(([fixed, more]) => (schema.additionalProperties === false ? fixed : { ...more, ...fixed }));
    }
  }
}

function queryOf(operation: Operation): fc.Arbitrary<string> {
  const names = (operation.parameters ?? []).filter((one) => one.in === 'query').map((one) => one.name);
  const b64 = fc.oneof(
    words,
    fc.jsonValue().map((value) => Buffer.from(JSON.stringify(value)).toString('base64url')),
  );
  const pair = fc.tuple(fc.constantFrom(...names, 'limit', 'marker', 'sort_key'), fc.oneof(word(), b64));
  return fc
    .array(pair, { maxLength: 4 })
    .map((pairs) => pairs.map(([name, value]) => `${name}=${escaped(value)}`).join('&'));
}

const escaped = (value: string) => encodeURIComponent(value.toWellFormed()).slice(0, 200);

const queriesOf = (operation: Operation) =>
  fc.oneof({ weight: 4, arbitrary: queryOf(operation) }, { weight: 1, arbitrary: rawQuery });

/** What no client writes that can count to eight bits. */
const rawQuery = fc.constantFrom(
  '%',
  '%ff',
  '%ed%a0%80',
  '=',
  '&&&',
  'a[b]=c',
  'limit=%00',
  'limit[]=1',
  'env=%2B%2B',
  'x='.repeat(500),
);

const headers: fc.Arbitrary<Record<string, string>> = fc.record(
  {
    accept: fc.constantFrom('application/json', 'text/csv', 'text/html', '*/*', '', 'nonsense', 'a/b;q=x'),
    'last-event-id': fc.constantFrom('0', '-1', '1e9', 'x', '9'.repeat(40), '1-1-1', ''),
    'x-subject-token': fc.constantFrom('', 'x', 'gAAAA', '\u00ff', 'a'.repeat(3_000)),
    'accept-language': fc.constantFrom('', '*', 'x'.repeat(500)),
    'x-forwarded-for': fc.constantFrom('', '::', 'nobody', '1.2.3.4, 5'),
    range: fc.constantFrom('bytes=5-1', 'bytes=-', 'x'),
    'if-none-match': fc.constantFrom('*', '""'),
  },
  { requiredKeys: [] },
);

/** The path with its places filled, below one of its names. */
function urlOf(path: string): fc.Arbitrary<string> {
  const places = path.match(/\{\w+\}/g) ?? [];
  const filled = fc.array(word(), { minLength: places.length, maxLength: places.length });
  const { projectId } = api.admin;
  const below = fc.constantFrom('/v1', `/v1/${projectId}`, `/coriolis/${projectId}`, '/v1/of-nobody');
  return fc.tuple(filled, below).map(([values, root]) => {
    const url = values.reduce((rest, value) => rest.replace(/\{\w+\}/, () => escaped(value) || '_'), path);
    return url.startsWith('/v1/') ? root + url.slice(3) : url;
  });
}

/** The body of an operation as its dialect calls it. */
function bodyOf(operation: Operation, old: boolean): fc.Arbitrary<unknown> {
  const schema = operation.requestBody?.content['application/json']?.schema;
  if (schema === undefined) return fc.constant(undefined);
  return like(schema).map((body) => {
    if (!old || typeof body !== 'object' || body === null || !('transfer' in body)) return body;
    const { transfer, ...rest } = body;
    return { ...rest, replica: transfer };
  });
}

const DIGITS = '9'.repeat(400);
/** What may happen to a body on its way: text that is JSON no more, or JSON that nobody expects. */
const BREAKS: readonly ((text: string) => string | Buffer)[] = [
  (text) => text.slice(0, -1),
  (text) => text + text,
  (text) => `\ufeff${text}`,
  (text) => text.replace(/"[^"]*"(?=[,}\]])/g, '["$&"]').replaceAll('""', '"'),
  // Arrays, numbers without end and half characters where words were.
  (text) => text.replace(/:"(?:[^"\\]|\\.)*"/g, ':["a",{},null]'),
  (text) => text.replace(/:"(?:[^"\\]|\\.)*"/g, `:${DIGITS}`),
  (text) => text.replace(/:"(?:[^"\\]|\\.)*"/g, `:-1e${DIGITS}`),
  (text) => text.replace(/:"(?:[^"\\]|\\.)*"/g, ':"\\udfff\\ud800"'),
  (text) => text.replace(/:(?:null|true|false|-?[\d.e+]+)/g, ':"\\u0000"'),
  (text) => text.replace(/:(?:null|true|false|-?[\d.e+]+|"(?:[^"\\]|\\.)*")/g, `:${'['.repeat(70)}${']'.repeat(70)}`),
  (text) => text.replace(/^\{/, '{"__proto__":{"x":1},'),
  (text) => text.replace(/^\{(.+)\}$/, '{$1,$1}'),
  (text) => Buffer.from(text, 'utf16le'),
  (text) => Buffer.concat([Buffer.from(text), Buffer.from([0])]),
  (text) => Buffer.from(text.replace(/"/, '"\u0080'), 'latin1'),
  () => Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]),
  () => '['.repeat(20_000),
  () => '',
];
const CONTENT_TYPES = [
  'application/json',
  'application/json; charset=utf-8',
  'application/json; charset=x',
  'APPLICATION/JSON',
  'text/plain',
  'application/xml',
  'multipart/form-data',
  'application/x-www-form-urlencoded',
  'nonsense',
  '',
];
const broken = (body: fc.Arbitrary<unknown>) =>
  fc.tuple(body, fc.constantFrom(...BREAKS)).map(([value, change]) => change(JSON.stringify(value) ?? '{}'));

/** The end of the session would be the end of the test. */
const LEFT_OUT = new Set(['/identity/v3/auth/tokens delete']);
const asked = () => operations.filter(({ path, method }) => !LEFT_OUT.has(`${path} ${method}`));

interface Answer {
  statusCode: number;
  type: string;
  /** Undefined of a stream without end. */
  body: string | undefined;
}

async function ask(
  method: Method,
  url: string,
  payload?: string | Buffer,
  given: Record<string, string> = {},
): Promise<Answer> {
  const answer = await api.app.inject({
    method: method.toUpperCase() as 'GET',
    url,
    headers: { 'x-auth-token': api.admin.token, accept: 'application/json', ...given },
    payloadAsStream: true,
    ...(payload !== undefined && { payload }),
  });
  const { statusCode } = answer;
  const type = String(answer.headers['content-type']);
  if (!type.includes('text/event-stream')) return { statusCode, type, body: await text(answer.stream()) };
  answer.stream().destroy();
  return { statusCode, type, body: undefined };
}

function expectNoDefect({ statusCode, type, body }: Answer, request: string): void {
  const shown = `${request} -> ${statusCode} ${body}`;
  if (statusCode === 503) expect(body, shown).toContain('NoSuitableWorkerServiceError');
  else expect(statusCode, shown).toBeLessThan(500);
  if (statusCode < 400 || body === undefined) return;
  if (type.includes('text/html')) {
    expect(statusCode, shown).toBe(404);
  } else {
    const keys = Object.keys(JSON.parse(body));
    if (!keys.includes('error')) expect(keys, shown).toEqual(['message', 'code', 'title']);
  }
}

/** The router's tree as `method path`. */
function routesOf(tree: string): string[] {
  const stack: string[] = [];
  return tree.split('\n').flatMap((line) => {
    const match = /^([│ ]*)[├└]── (\S+) \(([^)]+)\)$/.exec(line);
    if (match === null) return [];
    const [, indent, part, methods] = match;
    stack.splice(indent!.length / 4, Infinity, part!);
    const path = stack.join('').replace(/:(\w+)/g, '{$1}');
    return methods!
      .split(', ')
      .filter((method) => method !== 'HEAD')
      .map((method) => `${method.toLowerCase()} ${path}`);
  });
}

describe('no request is answered with a defect', () => {
  test('and every route of both dialects is asked', () => {
    const documented = new Set(operations.map(({ path, method }) => `${method} ${path}`));
    // What only shows the document, and what is spelled otherwise above.
    const other = /^\w+ (?:\/|\/docs.*|\/openapi\.json|\/identity\/?|\/v1\/\{project_id\}\/.*)$/;
    const routed = routesOf(api.app.printRoutes({ commonPrefix: false })).filter((one) => !other.test(one));
    expect(routed.filter((one) => !documented.has(one))).toEqual([]);
    expect(routed.length).toBeGreaterThan(90);
    const older = operations.filter(({ old }) => old);
    expect(older.length).toBe(operations.filter(({ path }) => path.startsWith('/v1/transfers')).length);
    expect(documented).toContain('post /v1/replicas/{transfer_id}/executions/{execution_id}/actions');
  });

  test('whatever its path, query, headers and body are', { timeout: 300_000 }, async () => {
    for (const { path, method, operation, old } of asked()) {
      await fc.assert(
        fc.asyncProperty(
          urlOf(path),
          queriesOf(operation),
          headers,
          bodyOf(operation, old),
          async (url, query, head, body) => {
            const whole = query === '' ? url : `${url}?${query}`;
            const payload = body === undefined ? undefined : JSON.stringify(body);
            const typed = payload === undefined ? head : { ...head, 'content-type': 'application/json' };
            const answer = await ask(method, whole, payload, typed);
            expectNoDefect(answer, `${method} ${whole} ${JSON.stringify(typed)} ${payload}`);
          },
        ),
        { numRuns: RUNS, seed: 20_261_121 },
      );
    }
  });

  test('nor when its body is broken, or of another kind', { timeout: 300_000 }, async () => {
    const contentType = fc.oneof(
      { weight: 3, arbitrary: fc.constant('application/json') },
      fc.constantFrom(...CONTENT_TYPES),
    );
    for (const { path, method, operation, old } of asked()) {
      const body = operation.requestBody === undefined ? fc.jsonValue() : bodyOf(operation, old);
      await fc.assert(
        fc.asyncProperty(urlOf(path), broken(body), contentType, async (url, payload, type) => {
          const answer = await ask(method, url, payload, { 'content-type': type });
          expectNoDefect(answer, `${method} ${url} (${type}) ${payload.toString('latin1' as 'utf8')}`);
        }),
        { numRuns: BROKEN_RUNS, seed: 20_261_121 },
      );
    }
  });

  test('nor when the body is no JSON at all', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(...CONTENT_TYPES), async (bytes, type) => {
        const answer = await api.admin.request('POST', '/v1/transfers', Buffer.from(bytes), { 'content-type': type });
        expect([400, 415]).toContain(answer.statusCode);
      }),
      { numRuns: 200, seed: 20_261_121 },
    );
  });
});
