import { readFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { GodwitError, reasonOf } from '@godwit/domain';
import { Agent, type Dispatcher, request as undiciRequest } from 'undici';
import { answerError } from './answer-error.ts';
import { waitBefore } from './retry.ts';

/** Milliseconds for an answer to begin; clouds under load take tens of seconds for some requests. */
const ANSWER_MS = 60_000;
const CONNECT_MS = 10_000;
/** Bytes of an answer that is read into memory, at most. */
const MAX_ANSWER = 64 * 1_048_576;
const MAX_ERROR_TEXT = 16_384;

export interface TransportOptions {
  /** PEM file of the authority that signed the certificates. Absent: those Node knows. */
  caFile: string | null;
  /** Accepts any certificate. */
  insecure: boolean;
  /** For errors: `endpoint lab`. */
  label: string;
}

export interface HttpRequest {
  method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  url: string;
  headers?: Record<string, string>;
  body?: string | Readable;
  /** In the operator's words, for errors: `volume boot of endpoint lab`. */
  object: string;
  signal: AbortSignal;
  /** False: may have been carried out when no answer came. Default: true for all but POST. */
  repeatable?: boolean;
  /** Milliseconds for the answer to begin. Default 60,000. */
  answerMs?: number;
}

export interface HttpAnswer {
  status: number;
  headers: Record<string, string>;
  text: string;
}

/** HTTP to the services of one cloud: one connection pool, one idea of trust, repeats what may be repeated. */
export class Transport {
  readonly #agent: Agent;
  readonly #label: string;

  /** @throws GodwitError INVALID_INPUT: the CA file cannot be read */
  constructor(options: TransportOptions) {
    this.#label = options.label;
    this.#agent = new Agent({
      connect: {
        timeout: CONNECT_MS,
        rejectUnauthorized: !options.insecure,
        ...(options.caFile === null ? {} : { ca: readCa(options.caFile) }),
      },
      headersTimeout: 0,
      bodyTimeout: ANSWER_MS,
      keepAliveTimeout: 4_000,
      pipelining: 1,
      connections: 16,
    });
  }

  /** Sends it until there is an answer that stays; refusals are returned, not thrown. */
  async send(request: HttpRequest): Promise<HttpAnswer> {
    const answer = await this.#repeat(request, async (body, status, headers) => {
      const bytes: Buffer[] = [];
      let size = 0;
      for await (const chunk of body) {
        size += chunk.length;
        if (size > MAX_ANSWER) throw new GodwitError('PLATFORM_ERROR', request.object, { reason: 'endless answer' });
        bytes.push(chunk);
      }
      return { status, headers, text: Buffer.concat(bytes).toString('utf8') };
    });
    return answer;
  }

  /** The body as a stream; anything but 200 and 206 is thrown. The caller reads the stream to its end or destroys it. */
  async stream(request: HttpRequest): Promise<{ headers: Record<string, string>; body: Readable }> {
    return this.#repeat(request, async (body, status, headers) => {
      if (status === 200 || status === 206) return { headers, body };
      const text = await body.text();
      throw answerError(request.object, { status, body: text.slice(0, MAX_ERROR_TEXT), requestId: idIn(headers) });
    });
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #repeat<T>(
    request: HttpRequest,
    read: (body: Dispatcher.ResponseData['body'], status: number, headers: Record<string, string>) => Promise<T>,
  ): Promise<T> {
    const repeatable = request.repeatable ?? request.method !== 'POST';
    for (let attempt = 1; ; attempt++) {
      // Only for the answer to begin: a long body may take as long as it goes on coming. An upload has no answer until its end.
      const late = new AbortController();
      const timer = setTimeout(() => late.abort(), request.answerMs ?? ANSWER_MS);
      if (typeof request.body === 'object') clearTimeout(timer);
      try {
        const answer = await undiciRequest(request.url, {
          dispatcher: this.#agent,
          method: request.method,
          headers: request.headers ?? {},
          body: request.body ?? null,
          signal: AbortSignal.any([request.signal, late.signal]),
        });
        clearTimeout(timer);
        const headers = plain(answer.headers);
        const wait = waitBefore(
          attempt,
          { status: answer.statusCode, retryAfter: headers['retry-after'] ?? null },
          repeatable && typeof request.body !== 'object',
          Math.random(),
          Date.now(),
        );
        if (wait === null) return await read(answer.body, answer.statusCode, headers);
        await answer.body.dump();
        await this.#pause(wait, request);
      } catch (error) {
        clearTimeout(timer);
        if (request.signal.aborted) throw new GodwitError('CANCELED', request.object, {}, { cause: error });
        if (error instanceof GodwitError) throw error;
        const wait = waitBefore(
          attempt,
          { status: null, retryAfter: null },
          repeatable && typeof request.body !== 'object' && !isTrust(error),
          Math.random(),
          Date.now(),
        );
        if (wait === null) throw this.#connectionError(request, error, late.signal.aborted);
        await this.#pause(wait, request);
      }
    }
  }

  async #pause(ms: number, request: HttpRequest): Promise<void> {
    await sleep(ms, undefined, { signal: request.signal }).catch((cause: unknown) => {
      throw new GodwitError('CANCELED', request.object, {}, { cause });
    });
  }

  #connectionError(request: HttpRequest, error: unknown, timedOut: boolean): GodwitError {
    const { host } = new URL(request.url);
    const reason = timedOut
      ? `${host} gave no answer in time`
      : isTrust(error)
        ? `the certificate of ${host} is not trusted (${reasonOf(error)}); name the authority with ca_file`
        : `${host}: ${reasonOf(error)}`;
    return new GodwitError('CONNECTION_FAILED', this.#label, { reason, request: request.object }, { cause: error });
  }
}

/** @throws GodwitError INVALID_INPUT */
function readCa(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const reason = `connection_info/ca_file ${path} cannot be read on the worker`;
    throw new GodwitError('INVALID_INPUT', 'connection_info', { reason }, { cause: error });
  }
}

/** Errors of certificates never pass by waiting. */
function isTrust(error: unknown): boolean {
  const code = codeOf(error);
  return /CERT|ALTNAME|SELF_SIGNED|UNABLE_TO_(VERIFY|GET)|ERR_SSL|ERR_TLS/.test(code);
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  const code: unknown = Reflect.get(error, 'code');
  return typeof code === 'string' ? code : codeOf(error.cause);
}

function plain(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  const entries = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value ?? '')]);
  return Object.fromEntries(entries);
}

/** The id under which the service logged the request. */
export function idIn(headers: Record<string, string>): string | null {
  return headers['x-openstack-request-id'] ?? headers['x-compute-request-id'] ?? null;
}
