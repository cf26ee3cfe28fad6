import { Type } from 'typebox';
import { Exact } from './json.ts';

export const FAULTS = [
  'badRequest',
  'unauthorized',
  'forbidden',
  'itemNotFound',
  'badMethod',
  'conflictingRequest',
  'overLimit',
  'badMediaType',
  'notImplemented',
  'serviceUnavailable',
  'computeFault',
] as const;

/** The body of every refusal of the migration API. The stable code and the remedy travel in the `x-godwit-error` header. */
export const ErrorBody = Exact('Error', {
  error: Type.Object(
    {
      fault: Type.String({ enum: [...FAULTS] }),
      code: Type.Integer(),
      message: Type.String(),
    },
    { additionalProperties: false },
  ),
});

/** The body of a refusal by the identity service, and of every 401. */
export const IdentityErrorBody = Exact('IdentityError', {
  error: Type.Object(
    { code: Type.Integer(), title: Type.String(), message: Type.String() },
    { additionalProperties: false },
  ),
});
