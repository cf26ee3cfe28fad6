import { type ErrorCode, type ErrorKind, errorCatalogue } from './error-catalogue.ts';

/** A value in an error's details: printed, sent to clients and stored, so never a secret. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | null>>;

/** What crosses a thread, a process or the wire in place of a {@link GodwitError}. */
export interface ErrorData {
  code: ErrorCode;
  object: string;
  message: string;
  remedy: string;
  details: ErrorDetails;
}

/**
 * The one error type of the product: a stable code from the catalogue, the object it is about, why it happened and what
 * to do next. Anything else that reaches an operator is a defect.
 *
 * @example throw new GodwitError('DISK_SHRANK', 'disk vda of web01', { was: 1048576, is: 524288 });
 */
export class GodwitError extends Error {
  readonly code: ErrorCode;
  /** What the error is about, in the operator's words: `disk vda of web01`, `endpoint lab`. */
  readonly object: string;
  /** What to do next, one sentence. */
  readonly remedy: string;
  readonly details: ErrorDetails;

  /**
   * @param code key of the catalogue
   * @param object what the error is about
   * @param details values for the template's `{name}` places; never secrets
   * @param options `cause`: the error underneath, always kept
   */
  constructor(code: ErrorCode, object: string, details: ErrorDetails = {}, options?: { cause?: unknown }) {
    const entry = errorCatalogue[code];
    super(fill(entry.message, object, details), options);
    this.name = 'GodwitError';
    this.code = code;
    this.object = object;
    this.remedy = fill(entry.remedy, object, details);
    this.details = details;
  }

  /** How a caller may react: see {@link ErrorKind}. */
  get kind(): ErrorKind {
    return errorCatalogue[this.code].kind;
  }

  /** HTTP status of an answer that carries this error. */
  get status(): number {
    return errorCatalogue[this.code].status;
  }

  /** One line for a log or a terminal: code, message, remedy. */
  explain(): string {
    return `${this.code}: ${this.message}${/[.!?]$/.test(this.message) ? '' : '.'} ${this.remedy}`;
  }

  toData(): ErrorData {
    return {
      code: this.code,
      object: this.object,
      message: this.message,
      remedy: this.remedy,
      details: this.details,
    };
  }

  static fromData(data: ErrorData, cause?: unknown): GodwitError {
    return new GodwitError(data.code, data.object, data.details, cause === undefined ? undefined : { cause });
  }

  /** The error itself when it is one of ours, else `fallback` with it as cause. */
  static wrap(error: unknown, fallback: ErrorCode, object: string, details: ErrorDetails = {}): GodwitError {
    if (error instanceof GodwitError) return error;
    const reason = error instanceof Error ? error.message : String(error);
    return new GodwitError(fallback, object, { reason, ...details }, { cause: error });
  }
}

/**
 * Why it happened, in the words of the innermost error: `fetch` hides it under "fetch failed", and a connection that was
 * tried at several addresses fails with an error of all of them and no text of its own.
 */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.cause instanceof Error) return reasonOf(error.cause);
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.map(reasonOf).join('; ');
  return error.message || ('code' in error ? String(error.code) : error.name);
}

function fill(template: string, object: string, details: ErrorDetails): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => {
    if (name === 'object') return object;
    const value = details[name];
    return value === undefined || value === null ? 'unknown' : String(value);
  });
}
