import type { JsonObject } from '@godwit/domain';
import type * as store from '@godwit/store';
import type { Endpoint } from '../schemas/endpoint.ts';
import { commonKeys } from './timestamp.ts';

export function endpointToWire(row: store.PublicEndpoint): Endpoint {
  return {
    ...commonKeys(row),
    id: row.id,
    user_id: row.user_id,
    project_id: row.project_id,
    name: row.name,
    type: row.type,
    description: row.description,
    connection_info: row.connection_info,
    mapped_regions: row.mapped_regions,
  };
}

type SchemaNode = { [key: string]: unknown };

/**
 * The part of a connection_info that may be shown: whatever its schema marks `writeOnly` is left out, at any depth and in
 * every branch; so is every key that the schema does not name, because nothing says that it is no secret.
 */
export function publicPart(schema: object, value: JsonObject): JsonObject {
  return (shown([schema as SchemaNode], value) ?? {}) as JsonObject;
}

function shown(schemas: SchemaNode[], value: unknown): unknown {
  const all = schemas.flatMap(branches);
  if (all.length === 0 || all.some((schema) => schema.writeOnly === true)) return undefined;
  if (Array.isArray(value)) {
    const items = all.flatMap((schema) => (isNode(schema.items) ? [schema.items] : []));
    return value.map((item) => shown(items, item)).filter((item) => item !== undefined);
  }
  if (typeof value !== 'object' || value === null) return value;
  const result: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(value)) {
    const visible = shown(propertySchemas(all, key), inner);
    if (visible !== undefined) result[key] = visible;
  }
  return result;
}

function branches(schema: SchemaNode): SchemaNode[] {
  const inner = ['allOf', 'anyOf', 'oneOf'].flatMap((word) => {
    const list = schema[word];
    return Array.isArray(list) ? list.filter(isNode).flatMap(branches) : [];
  });
  return [schema, ...inner];
}

function propertySchemas(schemas: SchemaNode[], key: string): SchemaNode[] {
  return schemas.flatMap((schema) => {
    const { properties, patternProperties, additionalProperties } = schema;
    const named = isNode(properties) && Object.hasOwn(properties, key) ? properties[key] : undefined;
    if (isNode(named)) return [named];
    const matching = isNode(patternProperties)
      ? Object.entries(patternProperties).flatMap(([pattern, node]) =>
          new RegExp(pattern, 'u').test(key) && isNode(node) ? [node] : [],
        )
      : [];
    if (matching.length > 0) return matching;
    return isNode(additionalProperties) ? [additionalProperties] : [];
  });
}

function isNode(value: unknown): value is SchemaNode {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
