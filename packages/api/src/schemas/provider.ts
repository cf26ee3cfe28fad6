import { Type } from 'typebox';
import { Exact, FreeObject } from './json.ts';

const ProviderTypes = Type.Object({ types: Type.Array(Type.Integer()) }, { additionalProperties: false });

export const ProviderMap = Type.Unsafe<Record<string, { types: number[] }>>({
  type: 'object',
  additionalProperties: ProviderTypes,
  description: 'Platform name to the numbers of its abilities',
  examples: [{ libvirt: { types: [4, 8, 16, 32, 128] } }],
});

export const ProvidersAnswer = Exact('Providers', { providers: ProviderMap });
export const ProviderSchemasAnswer = Exact('ProviderSchemas', {
  schemas: FreeObject('One key, named by the type; its value is a JSON Schema'),
});
