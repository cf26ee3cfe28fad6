import type { JsonObject } from '@godwit/domain';
import { type Static, type TSchema, Type } from 'typebox';

/**
 * The shapes that every noun shares. A schema's `title` is its name in `/openapi.json` and in the generated client.
 * Nullable is spelled `type: [x, 'null']`, which generators read better than `anyOf`.
 */

/** The schema, or null. */
export function Nullable<S extends TSchema>(schema: S) {
  const plain = schema as S & { type?: string | string[] };
  if (typeof plain.type === 'string') {
    return Type.Unsafe<Static<S> | null>({
      ...schema,
      type: [plain.type, 'null'],
      ...('enum' in schema ? { enum: [...(schema.enum as unknown[]), null] } : {}),
    });
  }
  return Type.Unsafe<Static<S> | null>({ anyOf: [schema, { type: 'null' }] });
}

/** One of these words. */
export function OneOf<const T extends readonly string[]>(words: T, options: { description?: string } = {}) {
  return Type.Unsafe<T[number]>({ type: 'string', enum: [...words], ...options });
}

/** A JSON object whose keys the contract leaves open. */
export function FreeObject(description?: string) {
  return Type.Unsafe<JsonObject>({
    type: 'object',
    additionalProperties: true,
    ...(description === undefined ? {} : { description }),
  });
}

/** A JSON object of strings. */
export function StringMap(description?: string) {
  return Type.Unsafe<Record<string, string>>({
    type: 'object',
    additionalProperties: { type: 'string' },
    ...(description === undefined ? {} : { description }),
  });
}

interface ObjectOptions {
  description?: string;
  /** Valid by the schema itself; a test holds them to it. */
  examples?: unknown[];
}

/** An object with exactly these keys: for answers, where an unlisted key is a defect. */
export function Exact<P extends Record<string, TSchema>>(title: string, properties: P, options: ObjectOptions = {}) {
  return Type.Object(properties, { title, additionalProperties: false, ...options });
}

/** An object with at least these keys: for bodies, where the contract ignores keys it does not know. */
export function Open<P extends Record<string, TSchema>>(title: string, properties: P, options: ObjectOptions = {}) {
  return Type.Object(properties, { title, additionalProperties: true, ...options });
}

/** What people write for people, in bodies: as much as a text column of the original holds. */
export const FreeText = Type.String({ maxLength: 65_535 });

export const Id = Type.String({ description: 'UUID', examples: ['6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11'] });

/** Naive UTC with six digits and no zone, as the contract has it. */
export const Timestamp = Type.String({
  pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{6}$',
  description: 'UTC, six fraction digits, no zone',
  examples: ['2026-11-21T01:45:52.000000'],
});

/** The same in an example. */
export const commonExample = {
  created_at: '2026-11-21T01:45:52.000000',
  updated_at: null,
  deleted_at: null,
  deleted: '0',
};

/** Keys that every object of the contract carries. */
export const common = {
  created_at: Timestamp,
  updated_at: Nullable(Timestamp),
  deleted_at: Nullable(Timestamp),
  deleted: Type.String({ description: '"0", or the id of the object once it is deleted' }),
};
