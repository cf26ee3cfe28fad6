/** A refusal of the API, or the lack of an answer. */
export class ApiError extends Error {
  /** HTTP status; 0 when nothing answered. */
  readonly status: number;
  /** Stable code of docs/errors.md; empty when the server names none. */
  readonly code: string;
  /** What the refusal is about. */
  readonly object: string;
  /** What to do next. */
  readonly remedy: string;
  readonly requestId: string;

  constructor(
    message: string,
    about: { status: number; code?: string; object?: string; remedy?: string; requestId?: string },
    options?: { cause?: unknown },
  ) {
    super(message, options);
    this.name = 'ApiError';
    this.status = about.status;
    this.code = about.code ?? '';
    this.object = about.object ?? '';
    this.remedy = about.remedy ?? '';
    this.requestId = about.requestId ?? '';
  }

  /** Reads a refusal off an answer, of Godwit or of any OpenStack service; consumes its body. */
  static async of(response: Response): Promise<ApiError> {
    const text = await response.text();
    const { code, object, remedy } = stringsOf(parsed(response.headers.get('x-godwit-error') ?? ''));
    const message = messageOf(parsed(text)) ?? (text.slice(0, 500) || response.statusText);
    const requestId = response.headers.get('x-openstack-request-id') ?? '';
    return new ApiError(message, {
      status: response.status,
      requestId,
      ...(code !== undefined && { code }),
      ...(object !== undefined && { object }),
      ...(remedy !== undefined && { remedy }),
    });
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function messageOf(body: unknown): string | undefined {
  const { error, message } = fieldsOf(body);
  const inner = fieldsOf(error).message;
  return typeof inner === 'string' ? inner : typeof message === 'string' ? message : undefined;
}

function stringsOf(value: unknown): { code?: string; object?: string; remedy?: string } {
  return Object.fromEntries(Object.entries(fieldsOf(value)).filter(([, item]) => typeof item === 'string'));
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
