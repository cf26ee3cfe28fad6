import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, test } from 'vitest';
import { apiDocument } from '../src/index.ts';

interface Schema {
  $ref?: string;
  examples?: unknown[];
  properties?: Record<string, Schema>;
}
interface Body {
  schema: Schema;
  example?: unknown;
  examples?: Record<string, { value: unknown }>;
}
interface Operation {
  operationId: string;
  summary: string;
  tags: string[];
  security?: unknown[];
  requestBody?: { content: { 'application/json': Body } };
  responses: Record<string, { content?: Record<string, { schema: Schema }> }>;
}
interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation> & { servers?: { url: string }[] }>;
  components: { schemas: Record<string, Schema> };
}

const document = (await apiDocument('0.1.0')) as Document;
const operations = Object.entries(document.paths).flatMap(([path, item]) =>
  ['get', 'post', 'put', 'delete'].flatMap((method) => (item[method] ? [{ path, method, ...item[method] }] : [])),
);
const ajv = new Ajv2020({ strict: false, allErrors: true });
ajv.addSchema(document, 'api');

describe('the OpenAPI document', () => {
  test('is of version 3.1 and names each operation once', () => {
    expect(document.openapi).toBe('3.1.0');
    expect(operations.length).toBeGreaterThan(55);
    const ids = operations.map((operation) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const operation of operations) {
      expect(operation.summary, operation.operationId).toBeTruthy();
      expect(operation.tags.length, operation.operationId).toBe(1);
    }
  });

  test('has paths below the catalog’s URL, and says so of the others', () => {
    for (const path of ['/transfers', '/endpoints/{endpoint_id}/instances/{instance}', '/events']) {
      expect(document.paths[path]?.servers).toBeUndefined();
    }
    for (const path of ['/healthz', '/metrics', '/identity/v3/auth/tokens', '/logs/api/v1/logs/']) {
      expect(document.paths[path]?.servers).toEqual([{ url: '/' }]);
    }
    const below = Object.entries(document.paths).filter(([, { servers }]) => servers === undefined);
    expect(below.length).toBeGreaterThan(30);
    expect(below.map(([path]) => path).filter((path) => /^\/v1|\{project_id\}/.test(path))).toEqual([]);
  });

  test('shows an example of every body, and every example is right by its schema', () => {
    const bodies = operations.flatMap((operation) => operation.requestBody?.content['application/json'] ?? []);
    expect(bodies.length).toBeGreaterThan(15);
    for (const { schema, example, examples } of bodies) {
      const name = schema.$ref!.split('/').at(-1)!;
      const shown = [
        ...(example === undefined ? [] : [example]),
        ...Object.values(examples ?? {}).map((one) => one.value),
      ];
      expect(shown.length, name).toBeGreaterThan(0);
      const validate = ajv.getSchema(`api#/components/schemas/${name}`)!;
      for (const one of shown) expect(validate(one), `${name} ${JSON.stringify(validate.errors)}`).toBe(true);
    }
    const named = Object.entries(document.components.schemas).filter(([, schema]) => schema.examples !== undefined);
    for (const [name, schema] of named) {
      const validate = ajv.getSchema(`api#/components/schemas/${name}`)!;
      for (const example of schema.examples!)
        expect(validate(example), `${name} ${JSON.stringify(validate.errors)}`).toBe(true);
    }
    expect(named.map(([name]) => name)).toEqual(
      expect.arrayContaining(['Transfer', 'Endpoint', 'Execution', 'Region']),
    );
  });

  test('tells of every operation how it refuses', () => {
    for (const operation of operations)
      expect(Object.keys(operation.responses), operation.operationId).toContain('default');
  });

  test('refers to nothing that it does not hold', () => {
    const references = JSON.stringify(document).match(/"#\/components\/schemas\/\w+"/g) ?? [];
    for (const reference of new Set(references)) {
      expect(document.components.schemas).toHaveProperty(reference.slice(1, -1).split('/').at(-1)!);
    }
  });
});
