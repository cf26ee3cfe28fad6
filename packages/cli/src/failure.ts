import { CommandFailure, UsageError } from './usage-error.ts';

/** An answer of the API that says no, or no answer at all. */
export interface ApiFailureData {
  /** HTTP status; undefined when there was no answer. */
  status: number | undefined;
  /** Id to look for in the server's log. */
  requestId: string | undefined;
  remedy: string | undefined;
}

/** The API refused or could not be reached. */
export class ApiFailure extends Error {
  readonly data: ApiFailureData;

  constructor(message: string, data: ApiFailureData, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'ApiFailure';
    this.data = data;
  }
}

/**
 * What to print for an error: `ERROR: message (HTTP code) (Request-ID: id)`, then what to do next on a line of its own.
 *
 * @param debug add the stack and the causes
 */
export function describeFailure(error: unknown, debug: boolean): string {
  const lines = [`ERROR: ${headline(error)}`];
  const remedy =
    error instanceof ApiFailure ? error.data.remedy : error instanceof CommandFailure ? error.remedy : undefined;
  if (remedy !== undefined && remedy !== '') lines.push(remedy);
  if (error instanceof UsageError) lines.push('Try "--help" after the command.');
  if (debug) lines.push(...stacks(error));
  return lines.join('\n');
}

/** 2 for a wrong command line, 1 for everything else. */
export function exitCodeOf(error: unknown): number {
  return error instanceof UsageError ? 2 : 1;
}

function headline(error: unknown): string {
  if (!(error instanceof ApiFailure)) return error instanceof Error ? error.message : String(error);
  const { status, requestId } = error.data;
  const http = status === undefined ? '' : ` (HTTP ${status})`;
  return `${error.message}${http}${requestId === undefined ? '' : ` (Request-ID: ${requestId})`}`;
}

function stacks(error: unknown): string[] {
  const lines: string[] = [];
  for (let current = error; current instanceof Error; current = current.cause)
    lines.push(current.stack ?? current.message);
  return lines;
}
