import type { GodwitError } from '@godwit/domain';
import type { FAULTS } from '../schemas/error.ts';

const FAULT_OF_STATUS: Readonly<Record<number, (typeof FAULTS)[number]>> = {
  400: 'badRequest',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'itemNotFound',
  405: 'badMethod',
  409: 'conflictingRequest',
  413: 'overLimit',
  415: 'badMediaType',
  429: 'overLimit',
  431: 'overLimit',
  501: 'notImplemented',
  503: 'serviceUnavailable',
};

/** All that a client may learn of a failure that is a defect or may tell too much. */
export const HIDDEN_MESSAGE = 'The server has either erred or is incapable of performing the requested operation.';

/** The contract's body of a refusal. */
export function fault(status: number, message: string) {
  return { error: { fault: FAULT_OF_STATUS[status] ?? 'computeFault', code: status, message } };
}

/**
 * The message as the contract spells it: some families carry the class name that the original server shows.
 *
 * @param bare routes that answer the bare text (actions, DELETE)
 */
export function faultMessage(error: GodwitError, bare: boolean): string {
  if (error.code === 'INTERNAL') return HIDDEN_MESSAGE;
  if (error.code === 'NO_WORKER') return `NoSuitableWorkerServiceError: ${error.message}`;
  if (bare) return error.message;
  if (error.status === 404) return `NotFound: ${error.message}`;
  if (error.status === 409 && error.kind === 'conflict') return `Conflict: ${error.message}`;
  return error.message;
}

const LONGEST = 300;

/** The `x-godwit-error` header: what the contract's body has no place for, as ASCII JSON. */
export function errorHeader(error: GodwitError): string {
  const text = JSON.stringify({
    code: error.code,
    object: cut(error.object),
    remedy: cut(error.remedy),
  });
  // A header is ASCII: everything else travels escaped, as JSON allows.
  return text.replace(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function cut(text: string): string {
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}...` : text;
}

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  413: 'Request Entity Too Large',
  429: 'Too Many Requests',
  503: 'Service Unavailable',
};

/** The body of a refusal by an identity service, and of a 401 anywhere. */
export function identityFault(status: number, message: string) {
  return { error: { code: status, title: TITLES[status] ?? 'Internal Server Error', message } };
}
