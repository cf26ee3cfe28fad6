import { randomUUID } from 'node:crypto';

/** By which an answer and the log speak of one request, in the contract's form. */
export function newRequestId(): string {
  return `req-${randomUUID()}`;
}
