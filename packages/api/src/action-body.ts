import { badRequest, invalidInput, MALFORMED_BODY } from './request-error.ts';

/**
 * The action of a POST to `.../actions`: the single top-level key of the body.
 *
 * @param body as parsed; undefined when there was none
 * @param known names that the route understands
 * @throws GodwitError 400 in the contract's words
 */
export function actionOf<const N extends string>(body: unknown, known: readonly N[]): { name: N; argument: unknown } {
  if (body === undefined || body === null) throw badRequest('There is no such action: None');
  if (typeof body !== 'object' || Array.isArray(body)) throw badRequest(MALFORMED_BODY);
  const keys = Object.keys(body);
  if (keys.length !== 1) throw badRequest(MALFORMED_BODY);
  const name = known.find((candidate) => candidate === keys[0]);
  if (name === undefined) throw badRequest(`There is no such action: ${keys[0]}`);
  return { name, argument: (body as Record<string, unknown>)[name] };
}

/** `force` of an action: `{"cancel": null}` and `{"cancel": {}}` mean false. */
export function forceOf(argument: unknown, action = 'cancel'): boolean {
  if (argument === null || argument === undefined) return false;
  if (typeof argument !== 'object' || Array.isArray(argument))
    throw invalidInput(`${action} must be an object or null`);
  const force = (argument as Record<string, unknown>).force ?? false;
  if (typeof force !== 'boolean') throw invalidInput(`${action}.force must be boolean`);
  return force;
}
