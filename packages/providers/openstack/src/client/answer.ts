import { GodwitError } from '@godwit/domain';
import type { Static, TSchema } from 'typebox';
import { Check, Errors } from 'typebox/value';

/**
 * An answer as the type it should have; fields that are not used may be anything.
 *
 * @throws GodwitError PLATFORM_ERROR: no JSON, or a field that is used has another shape
 */
export function readAnswer<T extends TSchema>(schema: T, text: string, object: string): Static<T> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new GodwitError('PLATFORM_ERROR', object, { reason: 'the answer is no JSON' }, { cause: error });
  }
  if (conforms(schema, value)) return value;
  const [first] = Errors(schema, value);
  const where = first === undefined ? '' : ` (${first.instancePath} ${first.message})`;
  throw new GodwitError('PLATFORM_ERROR', object, { reason: `the answer has an unknown form${where}` });
}

function conforms<T extends TSchema>(schema: T, value: unknown): value is Static<T> {
  return Check(schema, value);
}
