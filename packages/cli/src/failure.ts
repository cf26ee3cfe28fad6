import { objectOf, textAt } from './api.ts';
import type { Json } from './cell.ts';
import { CommandFailure, UsageError } from './usage-error.ts';
import { visible } from './visible.ts';

/** What an error of the API's client tells, by shape: loading the client only to name its class would cost every start. */
interface ApiErrorLike extends Error {
  /** HTTP status; 0 when nothing answered. */
  status: number;
  remedy: string;
  requestId: string;
  /** Another way to what was asked for, see `elseBy`. */
  elseBy?: string;
  /** What the request was about, see `aboutTransfer`. */
  transferId?: string;
}

/** True for a refusal of the API, or the lack of an answer. */
export function isApiError(error: unknown): error is ApiErrorLike {
  return error instanceof Error && error.name === 'ApiError' && 'status' in error;
}

/**
 * What to print for an error: `ERROR: message (HTTP code) (Request-ID: id)`, then what to do next on a line of its own.
 *
 * @param debug add the stack and the causes
 */
export function describeFailure(error: unknown, debug: boolean): string {
  const lines = [`ERROR: ${headline(error)}`];
  const remedy = isApiError(error) || error instanceof CommandFailure ? remedyOf(error) : undefined;
  if (remedy !== undefined && remedy !== '') lines.push(remedy);
  if (isApiError(error) && error.elseBy !== undefined) lines.push(error.elseBy);
  if (error instanceof UsageError) lines.push('Try "--help" after the command.');
  if (debug) lines.push(...stacks(error));
  return visible(lines.join('\n'));
}

/** What refuses because an execution is active, with its id. */
const RUNNING = /^Another tasks execution is in progress: \['([^']+)'\]/;

/** The error; when it refuses because an execution is active, with another way to what was asked for. */
export function elseBy(error: unknown, way: string): unknown {
  if (isApiError(error) && RUNNING.test(error.message)) error.elseBy = way;
  return error;
}

/**
 * The error; it knows which transfer the request was about, so that what to do next can be typed as it is printed.
 *
 * @param path below the project
 */
export function aboutTransfer(error: unknown, path: string, body?: Json): unknown {
  if (!isApiError(error)) return error;
  const inPath = /^\/transfers\/([^/]+)/.exec(path)?.[1];
  const inBody = textAt(objectOf(objectOf({ body: body ?? null }, 'body'), 'deployment'), 'transfer_id');
  const id = inPath ?? inBody;
  if (id !== '') error.transferId = id;
  return error;
}

/** The command that lists what was not found; the word TRANSFER gives way to its id. */
const LISTS: Readonly<Record<string, string>> = {
  Deployment: 'deployment list',
  Endpoint: 'endpoint list',
  Log: 'log list',
  'Minion pool': 'minion pool list',
  Receipt: 'receipt list',
  Region: 'region list',
  Resource: 'resource list',
  Schedule: 'transfer schedule list TRANSFER',
  Service: 'service list',
  Transfer: 'transfer list',
  Webhook: 'webhook list',
  'Execution of a transfer': 'transfer execution list TRANSFER',
};

/** The API's remedies name no command where other clients hear them too, and the contract fixes the words of some. */
function remedyOf(error: ApiErrorLike | CommandFailure): string | undefined {
  const missing = /^(?:NotFound: )?(\w+(?: pool)?) with ID '[^']*'( for Transfer '[^']*')? not found\./.exec(
    error.message,
  );
  const list =
    missing === null ? undefined : LISTS[missing[2] === undefined ? missing[1]! : `${missing[1]} of a transfer`];
  const transfer = ('transferId' in error && error.transferId) || 'TRANSFER';
  if (list !== undefined) return `See "godwit ${list.replace('TRANSFER', () => transfer)}".`;
  const running = RUNNING.exec(error.message)?.[1];
  if (running === undefined) return error.remedy;
  return `Wait until it has ended, or cancel it: godwit transfer execution cancel ${transfer} ${running} --wait`;
}

/** 2 for a wrong command line, 1 for everything else. */
export function exitCodeOf(error: unknown): number {
  return error instanceof UsageError ? 2 : 1;
}

/** The innermost reason: fetch hides it under "fetch failed". */
export function reasonOf(error: unknown): string {
  let current = error;
  while (current instanceof Error && current.cause instanceof Error) current = current.cause;
  if (!(current instanceof Error)) return String(current);
  return current.message || ('code' in current ? String(current.code) : current.name);
}

function headline(error: unknown): string {
  if (!isApiError(error)) return error instanceof Error ? error.message : String(error);
  if (error.status === 0) return error.cause === undefined ? error.message : `${error.message} ${reasonOf(error)}`;
  return `${error.message} (HTTP ${error.status})${error.requestId === '' ? '' : ` (Request-ID: ${error.requestId})`}`;
}

function stacks(error: unknown): string[] {
  const lines: string[] = [];
  for (let current = error; current instanceof Error; current = current.cause)
    lines.push(current.stack ?? current.message);
  return lines;
}
