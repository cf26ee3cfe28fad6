import { GodwitError } from '@godwit/domain';
import { isUniqueViolation } from '@godwit/store';

/** Short forms of the refusals that routes need, in the contract's wording. */

/** 400 with exactly this text. */
export function badRequest(reason: string, object = 'the request'): GodwitError {
  return new GodwitError('BAD_REQUEST', object, { reason });
}

/** 400 `Invalid input received: <reason>`. */
export function invalidInput(reason: string, object = 'the request'): GodwitError {
  return new GodwitError('INVALID_INPUT', object, { reason });
}

/** 404 `<noun> with ID '<id>' not found.` */
export function notFound(noun: string, id: string): GodwitError {
  return new GodwitError('NOT_FOUND', `${noun} with ID '${id}'`);
}

/** The row, or a 404: also for another tenant's object, so that its existence does not leak. */
export function found<T>(row: T | undefined | null, noun: string, id: string): T {
  if (row === undefined || row === null) throw notFound(noun, id);
  return row;
}

/** Runs a write that names other objects: one that is not there (any more) is a mistake in the body, not a missing URL. */
export async function naming<T>(write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    if (error instanceof GodwitError && error.code === 'NOT_FOUND') throw invalidInput(error.message, error.object);
    throw error;
  }
}

export const MALFORMED_BODY = 'Malformed request body';
/** A body that is missing, of another content type, or not an object. */
export const NO_BODY =
  'The server could not comply with the request since it is either malformed or otherwise incorrect.';

/** A type that is known to be none is a mistake: ignored, an action would run without what its body asks for. */
export const NO_MEDIA_TYPE = 'The Content-Type of the request is no media type: send "application/json".';

/** The contract's odd 404 for DELETE of a region or a service that does not exist. */
export function nothingDeleted(noun: 'region' | 'service'): GodwitError {
  return new GodwitError('ABSENT', noun, { reason: `0 ${noun} entries were soft deleted` });
}

/** Runs a write whose name must be unique; one that is taken is a conflict that says so. */
export async function taken<T>(object: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    if (isUniqueViolation(error)) throw new GodwitError('CONFLICT', object, { reason: 'it exists already.' });
    throw error;
  }
}
