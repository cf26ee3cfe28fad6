import { readFileSync } from 'node:fs';
import {
  type Api,
  type ApiEvent,
  type ApiObject,
  type EventOptions,
  listOf,
  objectOf,
  type Query,
  textAt,
} from './api.ts';
import type { Json } from './cell.ts';
import { type CloudConfig, processSources, resolveCloudConfig } from './cloud-config.ts';
import { EventStreamParser } from './event-stream.ts';
import { ApiFailure } from './failure.ts';
import type { GlobalOptions } from './global-options.ts';
import { askPassword } from './password.ts';
import { CommandFailure, UsageError } from './usage-error.ts';

/** Service type of the API in a catalog: the one existing clients look for. */
const SERVICE_TYPE = 'migration';
/** Pause before a lost stream of events is taken up again. */
const RECONNECT_MS = 1_000;

interface Token {
  id: string;
  /** The `token` of Keystone's answer. */
  body: ApiObject;
}

/**
 * Signs in and gives the API.
 *
 * @throws UsageError when nothing says where to sign in
 * @throws ApiFailure when the server refuses or does not answer
 */
export async function signIn(globals: GlobalOptions): Promise<Api> {
  const config = resolveCloudConfig(globals, await processSources(globals));
  if (config.authUrl === undefined) {
    throw new UsageError(
      'Nothing says where to sign in: start a server ("npm start"), or set OS_AUTH_URL or OS_CLOUD.',
    );
  }
  if (config.caFile !== undefined) await trust(config.caFile);
  const token = await newToken(config, config.authUrl);
  return new HttpApi(config.endpoint ?? endpointIn(token.body, config), token.id);
}

async function trust(caFile: string): Promise<void> {
  const tls = await import('node:tls');
  try {
    tls.setDefaultCACertificates([...tls.getCACertificates('default'), readFileSync(caFile, 'utf8')]);
  } catch (error) {
    throw new UsageError(`--os-cacert: cannot use ${caFile}: ${reasonOf(error)}`);
  }
}

async function newToken(config: CloudConfig, authUrl: string): Promise<Token> {
  const url = `${authUrl.replace(/\/+$/, '')}/auth/tokens`;
  const identity = await identityOf(config);
  const auth: ApiObject = { identity, ...scopeOf(config) };
  const headers = { 'content-type': 'application/json', accept: 'application/json' };
  const response = await send(url, { method: 'POST', headers, body: JSON.stringify({ auth }) });
  const body = await answerOf(response, `Signing in at ${authUrl} (from ${config.origin})`);
  const id = response.headers.get('x-subject-token');
  if (id === null)
    throw new CommandFailure(`${authUrl} gave no token.`, 'Check that OS_AUTH_URL is a Keystone v3 URL.');
  return { id, body: objectOf(body, 'token') };
}

async function identityOf(config: CloudConfig): Promise<ApiObject> {
  if (config.token !== undefined) return { methods: ['token'], token: { id: config.token } };
  const name = config.username;
  if (name === undefined && config.userId === undefined) {
    throw new UsageError('Nothing says who signs in: set OS_USERNAME or use --os-username.');
  }
  const password = config.password ?? (await askPassword(`Password of ${name ?? config.userId}: `));
  const domain = domainOf(config.userDomainId, config.userDomainName);
  const user: ApiObject = config.userId === undefined ? { name: name ?? '', domain } : { id: config.userId };
  return { methods: ['password'], password: { user: { ...user, password } } };
}

function scopeOf(config: CloudConfig): ApiObject {
  if (config.projectId !== undefined) return { scope: { project: { id: config.projectId } } };
  if (config.projectName === undefined) return {};
  const domain = domainOf(config.projectDomainId, config.projectDomainName);
  return { scope: { project: { name: config.projectName, domain } } };
}

function domainOf(id: string | undefined, name: string | undefined): ApiObject {
  if (id !== undefined) return { id };
  return name === undefined ? { id: 'default' } : { name };
}

function endpointIn(token: ApiObject, config: CloudConfig): string {
  const services = listOf(token, 'catalog').filter((service) => service.type === SERVICE_TYPE);
  const endpoints = services.flatMap((service) => listOf(service, 'endpoints'));
  const found = endpoints.find(
    (endpoint) =>
      endpoint.interface === config.interface &&
      (config.regionName === undefined || [endpoint.region, endpoint.region_id].includes(config.regionName)),
  );
  if (found !== undefined) return textAt(found, 'url');
  const where = config.regionName === undefined ? '' : ` in region ${config.regionName}`;
  throw new CommandFailure(
    `The catalog of ${config.authUrl} has no ${config.interface} endpoint of type "${SERVICE_TYPE}"${where}.`,
    'Register Godwit in that Keystone, or give its URL with --endpoint.',
  );
}

class HttpApi implements Api {
  private readonly url: string;
  private readonly token: string;

  constructor(url: string, token: string) {
    this.url = url.replace(/\/+$/, '');
    this.token = token;
  }

  async get(path: string, query: Query = {}): Promise<ApiObject> {
    return answerOf(await this.request('GET', path, query, 'application/json'));
  }

  async getText(path: string, accept: string, query: Query = {}): Promise<string> {
    return (await succeeded(await this.request('GET', path, query, accept))).text();
  }

  async getBytes(path: string, query: Query = {}): Promise<Uint8Array> {
    const response = await succeeded(await this.request('GET', path, query, 'application/octet-stream'));
    return new Uint8Array(await response.arrayBuffer());
  }

  async post(path: string, body: Json): Promise<ApiObject> {
    return answerOf(await this.request('POST', path, {}, 'application/json', body));
  }

  async put(path: string, body: Json): Promise<ApiObject> {
    return answerOf(await this.request('PUT', path, {}, 'application/json', body));
  }

  async delete(path: string): Promise<void> {
    await answerOf(await this.request('DELETE', path, {}, 'application/json'));
  }

  async *events(options: EventOptions): AsyncGenerator<ApiEvent> {
    const { signal } = options;
    let last = options.after;
    while (!signal.aborted) {
      try {
        for await (const event of this.stream(last, options)) {
          last = event.id;
          yield event;
        }
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ApiFailure && error.data.status !== undefined && error.data.status < 500) throw error;
      }
      await pause(RECONNECT_MS, signal);
    }
  }

  private async *stream(after: string | undefined, options: EventOptions): AsyncGenerator<ApiEvent> {
    const { signal } = options;
    const query: Query = { type: options.types?.join(','), object_id: options.objectId };
    const headers = after === undefined ? {} : { 'last-event-id': after };
    const response = await succeeded(
      await this.request('GET', '/events', query, 'text/event-stream', undefined, { headers, signal }),
    );
    if (response.body === null) return;
    const parser = new EventStreamParser();
    const decoder = new TextDecoder();
    for await (const bytes of response.body) {
      for (const message of parser.push(decoder.decode(bytes as Uint8Array, { stream: true }))) {
        yield { id: message.id, type: message.event, data: JSON.parse(message.data) as ApiObject };
      }
    }
  }

  private request(
    method: string,
    path: string,
    query: Query,
    accept: string,
    body?: Json,
    more: { headers?: Record<string, string>; signal?: AbortSignal } = {},
  ): Promise<Response> {
    const content = body === undefined ? {} : { 'content-type': 'application/json' };
    const headers = { 'x-auth-token': this.token, accept, ...content, ...more.headers };
    const init = { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
    return send(
      `${this.url}${path}${queryString(query)}`,
      more.signal === undefined ? init : { ...init, signal: more.signal },
    );
  }
}

async function send(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    const origin = URL.canParse(url) ? new URL(url).origin : url;
    throw new ApiFailure(
      `Cannot reach ${origin}: ${reasonOf(error)}`,
      {
        status: undefined,
        requestId: undefined,
        remedy: 'Check that the server runs ("npm start") and that the URL is right.',
      },
      { cause: error },
    );
  }
}

/** The JSON of a good answer, `{}` when it is empty; a bad answer becomes an ApiFailure. */
async function answerOf(response: Response, doing?: string): Promise<ApiObject> {
  const text = await (await succeeded(response, doing)).text();
  if (text === '') return {};
  try {
    return JSON.parse(text) as ApiObject;
  } catch (error) {
    throw new CommandFailure(`${response.url} did not answer in JSON: ${reasonOf(error)}`, 'Check the URL.');
  }
}

async function succeeded(response: Response, doing?: string): Promise<Response> {
  if (response.ok) return response;
  const text = await response.text();
  const error = errorIn(text);
  const said = textAt(error, 'message') || textAt(error, 'title') || response.statusText || 'no reason was given';
  throw new ApiFailure(doing === undefined ? said : `${doing} failed: ${said}`, {
    status: response.status,
    requestId:
      response.headers.get('x-openstack-request-id') ?? response.headers.get('x-compute-request-id') ?? undefined,
    remedy: remedyIn(response) || undefined,
  });
}

/** The error object of Godwit, Keystone or a routing fault; empty when the answer is none of them. */
function errorIn(text: string): ApiObject {
  const body = parsedObject(text);
  return typeof body.error === 'object' ? objectOf(body, 'error') : body;
}

/** What to do next travels in a header: the contract's body has no place for it. */
function remedyIn(response: Response): string {
  return textAt(parsedObject(response.headers.get('x-godwit-error') ?? '{}'), 'remedy');
}

function parsedObject(text: string): ApiObject {
  try {
    return objectOf({ value: JSON.parse(text) as Json }, 'value');
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}

function queryString(query: Query): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue;
    for (const item of Array.isArray(value) ? value : [value]) parameters.append(name, String(item));
  }
  const text = parameters.toString();
  return text === '' ? '' : `?${text}`;
}

/** The innermost reason: fetch hides it under "fetch failed". */
function reasonOf(error: unknown): string {
  let current = error;
  while (current instanceof Error && current.cause instanceof Error) current = current.cause;
  if (!(current instanceof Error)) return String(current);
  return current.message || ('code' in current ? String(current.code) : current.name);
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener('abort', end);
  });
}
