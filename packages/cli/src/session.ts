import { readFileSync } from 'node:fs';
import { type Credentials, connectGodwit, type GodwitClient, Session } from '@godwit/client';
import type { Api, ApiEvent, ApiObject, EventOptions, IdentityApi, LogsApi, Query } from './api.ts';
import type { Json } from './cell.ts';
import { type CloudConfig, processSources, resolveCloudConfig } from './cloud-config.ts';
import { aboutTransfer, reasonOf } from './failure.ts';
import type { GlobalOptions } from './global-options.ts';
import { LogsClient } from './logs-client.ts';
import { askPassword } from './password.ts';
import { suggestion, UsageError } from './usage-error.ts';

/**
 * Signs in and gives the API.
 *
 * @throws UsageError when nothing says where to sign in, or as whom
 * @throws ApiError when the server refuses or does not answer
 */
export async function signIn(globals: GlobalOptions): Promise<Api> {
  const { config, credentials } = await wayIn(globals);
  const endpoint = config.endpoint === undefined ? {} : { endpoint: config.endpoint };
  return new ClientApi(await connectGodwit({ credentials, ...endpoint }));
}

/** The same for the identity service alone. */
export async function signInAtIdentity(globals: GlobalOptions): Promise<IdentityApi> {
  const session = new Session((await wayIn(globals)).credentials);
  return {
    identity: async (method, path, body) => object(await session.identity(method, path, body)),
  };
}

/** The same for the service that keeps the logs. */
export async function signInAtLogs(globals: GlobalOptions): Promise<LogsApi> {
  return new LogsClient(new Session((await wayIn(globals)).credentials));
}

async function wayIn(globals: GlobalOptions): Promise<{ config: CloudConfig; credentials: Credentials }> {
  const config = resolveCloudConfig(globals, await processSources(globals));
  if (config.authUrl === undefined) {
    throw new UsageError(
      'Nothing says where to sign in: start a server ("npm start"), or set OS_AUTH_URL or OS_CLOUD.',
    );
  }
  if (config.caFile !== undefined) await trust(config.caFile);
  return { config, credentials: await credentialsOf(config, config.authUrl) };
}

async function trust(caFile: string): Promise<void> {
  const tls = await import('node:tls');
  try {
    tls.setDefaultCACertificates([...tls.getCACertificates('default'), readFileSync(caFile, 'utf8')]);
  } catch (error) {
    throw new UsageError(`--os-cacert: cannot use ${caFile}: ${reasonOf(error)}`);
  }
}

async function credentialsOf(config: CloudConfig, authUrl: string): Promise<Credentials> {
  const name = config.username ?? config.userId;
  if (config.token === undefined && name === undefined) {
    throw new UsageError('Nothing says who signs in: set OS_USERNAME or use --os-username.');
  }
  const password =
    config.token === undefined ? (config.password ?? (await askPassword(`Password of ${name}: `))) : undefined;
  const { username, userId, token, regionName, caFile, endpoint, origin, ...rest } = config;
  const given: Record<string, string | undefined> = { ...rest, username, userId, token, region: regionName, password };
  return {
    ...(Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Partial<Credentials>),
    authUrl,
    interface: interfaceOf(config.interface),
  };
}

const INTERFACES = ['public', 'internal', 'admin'] as const;

function interfaceOf(word: string): (typeof INTERFACES)[number] {
  const found = INTERFACES.find((known) => known === word.replace(/URL$/, ''));
  if (found !== undefined) return found;
  throw new UsageError(`--os-interface: "${word}" is none of ${INTERFACES.join(', ')}.${suggestion(word, INTERFACES)}`);
}

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** The typed client seen as paths and objects: rows are made of whatever columns an answer has. */
class ClientApi implements Api {
  private readonly client: GodwitClient;

  constructor(client: GodwitClient) {
    this.client = client;
  }

  async get(path: string, query: Query = {}): Promise<ApiObject> {
    return object(await this.send('GET', path, { query }));
  }

  async getText(path: string, accept: string, query: Query = {}): Promise<string> {
    return String(await this.send('GET', path, { query, accept, parseAs: 'text' }));
  }

  async getBytes(path: string, query: Query = {}): Promise<Uint8Array> {
    const bytes = await this.send('GET', path, { query, accept: 'application/octet-stream', parseAs: 'arrayBuffer' });
    return new Uint8Array(bytes as ArrayBuffer);
  }

  async post(path: string, body: Json): Promise<ApiObject> {
    return object(await this.send('POST', path, { body }));
  }

  async put(path: string, body: Json): Promise<ApiObject> {
    return object(await this.send('PUT', path, { body }));
  }

  async delete(path: string): Promise<void> {
    await this.send('DELETE', path, {});
  }

  async *events(options: EventOptions): AsyncGenerator<ApiEvent> {
    for await (const event of this.client.followEvents(options)) {
      yield { id: event.id, type: event.type, data: event as unknown as ApiObject };
    }
  }

  private async send(
    method: Method,
    path: string,
    options: { query?: Query; body?: Json; accept?: string; parseAs?: 'text' | 'arrayBuffer' },
  ): Promise<unknown> {
    const init = {
      ...(options.query === undefined ? {} : { params: { query: options.query } }),
      ...(options.body === undefined ? {} : { body: options.body }),
      ...(options.accept === undefined ? {} : { headers: { accept: options.accept } }),
      ...(options.parseAs === undefined ? {} : { parseAs: options.parseAs }),
    };
    const call = this.client.api[method] as unknown as (path: string, init: object) => Promise<{ data?: unknown }>;
    try {
      return (await call(path, init)).data;
    } catch (error) {
      throw aboutTransfer(error, path, options.body);
    }
  }
}

function object(data: unknown): ApiObject {
  return typeof data === 'object' && data !== null ? (data as ApiObject) : {};
}
