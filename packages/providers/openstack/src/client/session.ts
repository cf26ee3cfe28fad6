import type { Readable } from 'node:stream';
import { GodwitError } from '@godwit/domain';
import { answerError } from './answer-error.ts';
import { authenticate, type Credentials, lookUp, type ServiceName, type Token } from './identity.ts';
import { negotiate, rangeIn, type VersionRange } from './microversion.ts';
import { type HttpAnswer, idIn, Transport } from './transport.ts';

/** Milliseconds before its end at which a token is not used any more: a request may take a while. */
const RENEW_BEFORE_MS = 120_000;

/** A microversion: what is wanted, and what will do. */
export interface Microversion {
  wanted: string;
  least: string;
}

export interface ServiceRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Below the service's root; begins with a slash. */
  path: string;
  query?: Record<string, string | number | boolean | undefined>;
  json?: unknown;
  body?: Readable;
  headers?: Record<string, string>;
  object: string;
  signal: AbortSignal;
  repeatable?: boolean;
  version?: Microversion;
}

/** How each service names its microversions, and the major version in its documents. */
const versioned: Partial<Record<ServiceName, { header: string; major: string }>> = {
  compute: { header: 'compute', major: '2.1' },
  volume: { header: 'volume', major: '3' },
  placement: { header: 'placement', major: '1' },
};

/** Path that a service's root lacks in most catalogs. */
const apiRoot: Partial<Record<ServiceName, string>> = { image: '/v2', network: '/v2.0', keyManager: '/v1' };

/** One identity at one cloud: its token, its catalog, the versions of the services. Shared by the calls of a process. */
export class Session {
  readonly credentials: Credentials;
  readonly #transport: Transport;
  readonly #label: string;
  readonly #ranges = new Map<ServiceName, Promise<VersionRange | null>>();
  #token: Promise<Token> | null = null;

  constructor(credentials: Credentials, label: string) {
    this.credentials = credentials;
    this.#label = label;
    this.#transport = new Transport({ caFile: credentials.caFile, insecure: credentials.insecure, label });
  }

  /** The token in use, or a new one. Calls at once share one sign-in. */
  async token(signal: AbortSignal): Promise<Token> {
    for (;;) {
      const asked = this.#token ?? authenticate(this.#transport, this.credentials, this.#label, signal);
      this.#token = asked;
      try {
        const token = await asked;
        if (token.expiresAt - Date.now() > RENEW_BEFORE_MS) return token;
        if (this.#token === asked) this.#token = null;
      } catch (error) {
        if (this.#token === asked) this.#token = null;
        // Another call's sign-in that was called off says nothing about this one.
        if (signal.aborted || !(error instanceof GodwitError) || error.code !== 'CANCELED') throw error;
      }
    }
  }

  /** @throws GodwitError UNSUPPORTED: the catalog has no such service */
  async url(service: ServiceName, signal: AbortSignal): Promise<string> {
    const { catalog } = await this.token(signal);
    const lookup = lookUp(catalog, service, this.credentials);
    if (!lookup.found) throw new GodwitError('INVALID_INPUT', this.#label, { reason: lookup.reason });
    const root = apiRoot[service] ?? '';
    return lookup.url.endsWith(root) ? lookup.url : lookup.url + root;
  }

  /** Sends a request with the token; a refused token is renewed once. Refusals throw. */
  async send(service: ServiceName, request: ServiceRequest): Promise<HttpAnswer> {
    for (let renewed = false; ; renewed = true) {
      const prepared = await this.#prepare(service, request);
      const answer = await this.#transport.send({ ...prepared.http, method: request.method });
      if (answer.status === 401 && !renewed && request.body === undefined) {
        await this.#forget(prepared.token);
        continue;
      }
      if (answer.status >= 200 && answer.status < 300) return answer;
      throw answerError(request.object, { status: answer.status, body: answer.text, requestId: idIn(answer.headers) });
    }
  }

  /** As {@link send}, for bodies that are read as they come. */
  async stream(service: ServiceName, request: ServiceRequest & { method: 'GET' }): Promise<Readable> {
    for (let renewed = false; ; renewed = true) {
      const prepared = await this.#prepare(service, request);
      try {
        return (await this.#transport.stream({ ...prepared.http, method: 'GET' })).body;
      } catch (error) {
        if (renewed || !(error instanceof GodwitError) || error.details.status !== 401) throw error;
        await this.#forget(prepared.token);
      }
    }
  }

  /** Drops a refused token, unless another call has renewed it meanwhile. */
  async #forget(refused: Token): Promise<void> {
    const known = this.#token;
    if (known === null) return;
    const present = await known.catch(() => null);
    if (present === refused && this.#token === known) this.#token = null;
  }

  async #prepare(service: ServiceName, request: ServiceRequest) {
    const { signal, object } = request;
    const token = await this.token(signal);
    const root = await this.url(service, signal);
    const url = new URL(root + request.path);
    for (const [name, value] of Object.entries(request.query ?? {})) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    const version = request.version === undefined ? {} : await this.#versionHeader(service, request.version, signal);
    const http = {
      url: url.href,
      headers: {
        accept: 'application/json',
        'x-auth-token': token.value,
        ...(request.json === undefined ? {} : { 'content-type': 'application/json' }),
        ...version,
        ...request.headers,
      },
      ...(request.json === undefined ? {} : { body: JSON.stringify(request.json) }),
      ...(request.body === undefined ? {} : { body: request.body }),
      ...(request.repeatable === undefined ? {} : { repeatable: request.repeatable }),
      object,
      signal,
    };
    return { token, http };
  }

  async #versionHeader(
    service: ServiceName,
    version: Microversion,
    signal: AbortSignal,
  ): Promise<Record<string, string>> {
    const range = await this.range(service, signal);
    const naming = versioned[service];
    if (range === null || naming === undefined) return {};
    const chosen = negotiate(range, version.wanted, version.least);
    if (chosen === null) {
      throw new GodwitError('UNSUPPORTED', this.#label, {
        what: `version ${version.least} of the ${service} API (it speaks ${range.min} to ${range.max})`,
      });
    }
    return { 'openstack-api-version': `${naming.header} ${chosen}` };
  }

  /** Microversions of a service; null when it has none. Asked once per session. */
  async range(service: ServiceName, signal: AbortSignal): Promise<VersionRange | null> {
    const known = this.#ranges.get(service);
    if (known !== undefined) return known;
    const asked = this.#askRange(service, signal);
    this.#ranges.set(service, asked);
    try {
      return await asked;
    } catch (error) {
      this.#ranges.delete(service);
      throw error;
    }
  }

  async #askRange(service: ServiceName, signal: AbortSignal): Promise<VersionRange | null> {
    const naming = versioned[service];
    if (naming === undefined) return null;
    const url = await this.url(service, signal);
    const token = await this.token(signal);
    // Cinder's URL ends with the project: its versions are described at the root.
    const root = `${url.replace(/\/v(\d[\d.]*)(\/.*)?$/, '/v$1')}/`;
    const answer = await this.#transport.send({
      method: 'GET',
      url: root,
      headers: { accept: 'application/json', 'x-auth-token': token.value },
      object: `${service} service of ${this.#label}`,
      signal,
    });
    if (answer.status !== 200 && answer.status !== 300) return null;
    try {
      return rangeIn(JSON.parse(answer.text), naming.major);
    } catch {
      return null;
    }
  }
}
