import { GodwitError } from '@godwit/domain';
import type { Static, TSchema } from 'typebox';
import { Settings } from 'typebox/system';
import { Check, Default, Errors } from 'typebox/value';

/** More violations than that are cut off: the list is for people. */
const MAX_VIOLATIONS = 50;

/** One thing wrong with an input. */
export interface Violation {
  /** JSON pointer; '' is the input itself. */
  path: string;
  message: string;
}

/**
 * Everything in which `value` departs from `schema`; empty when it conforms. Never contains a value, which may be secret.
 */
export function violations(schema: TSchema, value: unknown): Violation[] {
  const before = Settings.Get().maxErrors;
  Settings.Set({ maxErrors: MAX_VIOLATIONS });
  try {
    const found = new Map<string, Violation>();
    for (const error of Errors(schema, value)) {
      // `additionalProperties` tells the same with the names in it.
      if (error.keyword === 'boolean') continue;
      const violation = { path: error.instancePath, message: describe(error, schema) };
      found.set(`${violation.path} ${violation.message}`, violation);
    }
    return [...found.values()];
  } finally {
    Settings.Set({ maxErrors: before });
  }
}

/**
 * The input with the schema's defaults filled in.
 *
 * @param object what the input belongs to, for the message: `connection_info of endpoint lab`
 * @throws GodwitError INVALID_INPUT that lists every violation
 */
export function checkInput<T extends TSchema>(schema: T, value: unknown, object: string): Static<T> {
  const filled: unknown = Default(schema, structuredClone(value));
  if (conforms(schema, filled)) return filled;
  const reason = violations(schema, filled)
    .map(({ path, message }) => `${path === '' ? object : `${object}${path}`} ${message}`)
    .join('; ');
  throw new GodwitError('INVALID_INPUT', object, { reason });
}

function conforms<T extends TSchema>(schema: T, value: unknown): value is Static<T> {
  return Check(schema, value);
}

function describe(
  error: { keyword: string; message: string; params: object; instancePath: string },
  schema: TSchema,
): string {
  const params = new Map(Object.entries(error.params));
  const unknown = params.get('additionalProperties');
  if (error.keyword === 'additionalProperties' && Array.isArray(unknown)) {
    const known = error.instancePath === '' ? fieldsOf(schema) : [];
    const names = known.length === 0 ? '' : `; known: ${known.join(', ')}`;
    return `has unknown field${unknown.length > 1 ? 's' : ''} ${unknown.join(', ')}${names}`;
  }
  const allowed = params.get('allowedValues');
  if (error.keyword === 'enum' && Array.isArray(allowed)) return `must be one of ${allowed.join(', ')}`;
  if (error.keyword === 'const') return `must be ${JSON.stringify(params.get('allowedValue'))}`;
  return error.message;
}

function fieldsOf(schema: TSchema): string[] {
  const { properties } = schema as { properties?: object };
  return Object.keys(properties ?? {});
}
