import { type ErrorCode, type ErrorDetails, GodwitError } from '@godwit/domain';

/** An answer of a service that is no success. */
export interface RefusedAnswer {
  status: number;
  /** The body as text, maybe cut off. */
  body: string;
  requestId: string | null;
}

const QUOTA = /quota|limit ?exceeded|over ?limit|OverQuota/i;

/**
 * The typed error of an answer.
 *
 * @param object what the request was about, in the operator's words
 */
export function answerError(object: string, answer: RefusedAnswer): GodwitError {
  const message = messageIn(answer.body) ?? `HTTP status ${answer.status}`;
  const id = answer.requestId === null ? '' : ` (request ${answer.requestId})`;
  const details: ErrorDetails = {
    reason: `${message.replace(/\.$/, '')}${id}`,
    status: answer.status,
    request_id: answer.requestId,
  };
  return new GodwitError(codeOf(answer.status, message), object, details);
}

function codeOf(status: number, message: string): ErrorCode {
  switch (status) {
    case 401:
      return 'AUTHENTICATION_FAILED';
    case 403:
    case 413:
      return QUOTA.test(message) ? 'QUOTA_EXCEEDED' : status === 413 ? 'BUSY' : 'FORBIDDEN';
    case 404:
      return 'NOT_FOUND';
    case 409:
      return QUOTA.test(message) ? 'QUOTA_EXCEEDED' : 'CONFLICT';
    case 429:
    case 502:
    case 503:
    case 504:
      return 'BUSY';
    default:
      return 'PLATFORM_ERROR';
  }
}

/** The message of an error body: each service wraps it in its own way. */
export function messageIn(body: string): string | null {
  let document: unknown;
  try {
    document = JSON.parse(body);
  } catch {
    // Proxies, and Glance, answer in HTML.
    const text = body
      .replace(/<(title|h1)>[^<]*<\/\1>/gi, ' ')
      .replace(/<[^>]*>/g, ' ')
      .replace(/\s+/g, ' ')
      .trim();
    return text === '' ? null : text.slice(0, 300);
  }
  return find(document)?.slice(0, 500) ?? null;
}

function find(value: unknown): string | null {
  if (typeof value !== 'object' || value === null) return null;
  const message: unknown = Reflect.get(value, 'message') ?? Reflect.get(value, 'detail');
  if (typeof message === 'string' && message !== '') return message;
  if (typeof message === 'object') {
    const inner = find(message);
    if (inner !== null) return inner;
  }
  for (const inner of Object.values(value)) {
    const found = find(inner);
    if (found !== null) return found;
  }
  const text = Object.values(value).find((inner) => typeof inner === 'string' && inner !== '');
  return typeof text === 'string' ? text : null;
}
