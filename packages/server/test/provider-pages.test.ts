import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { providerLoaders } from '../src/providers.ts';

const docs = path.resolve(import.meta.dirname, '../../../docs');

/** Fields of a JSON Schema, of all its alternatives. */
function propertiesOf(schema: object = {}): Record<string, { default?: unknown }> {
  const { properties = {}, anyOf = [] } = schema as { properties?: object; anyOf?: object[] };
  return Object.assign({}, properties, ...anyOf.map(propertiesOf));
}

describe.each(Object.entries(providerLoaders))('docs/provider-%s.md', (name, load) => {
  const page = readFileSync(path.join(docs, `provider-${name}.md`), 'utf8');
  const rows = page.split('\n').filter((line) => line.startsWith('|'));

  test('has every field that the provider takes, with its default', async () => {
    const provider = await load();
    const fields = [
      provider.connectionSchema,
      provider.source?.environmentSchema,
      provider.target?.environmentSchema,
    ].flatMap((schema) => Object.entries(propertiesOf(schema)));
    expect(fields.length).toBeGreaterThan(0);
    const missing = fields.filter(([field, { default: value }]) => {
      if (!page.includes(`\`${field}\``)) return true;
      const row = rows.find((line) => line.split('|')[1]?.includes(`\`${field}\``));
      return value !== undefined && row?.includes(String(value)) !== true;
    });
    expect(missing.map(([field]) => field)).toEqual([]);
  });
});
