import { setTimeout as sleep } from 'node:timers/promises';

/** A user of a cloud, in a project. */
export interface Credentials {
  authUrl: string;
  region: string;
  /** Name of the user's and the project's domain. */
  domain: string;
  user: string;
  password: string;
  project: string;
}

/** Types in the service catalogue. */
export type ServiceType = 'identity' | 'compute' | 'image' | 'network' | 'volumev3' | 'placement' | 'key-manager';

/** What OpenStack answers: objects whose fields a test knows. */
export type Json = { [key: string]: unknown };

/**
 * Keystone's server closes a connection after each answer without saying so: a request that follows an answer without a body
 * at once would now and then be sent on a connection that is about to be reset.
 */
export const oneRequest = { connection: 'close' };

const headers: Partial<Record<ServiceType, string>> = { compute: 'compute 2.90', volumev3: 'volume 3.70' };

/** An answer of 400 and above. */
export class CloudApiError extends Error {
  readonly status: number;

  constructor(request: string, status: number, body: string) {
    super(`${request}: ${status} ${body.slice(0, 1000)}`);
    this.status = status;
  }
}

/**
 * A small OpenStack client of the tests: it looks at the clouds independently of the product's own client and makes
 * what the tests need. No retries: what it talks to is on this machine.
 */
export class CloudApi {
  readonly credentials: Credentials;
  readonly token: string;
  readonly projectId: string;
  readonly userId: string;
  readonly #urls: Map<string, string>;

  private constructor(credentials: Credentials, token: string, body: Json) {
    this.credentials = credentials;
    this.token = token;
    const granted = body.token as {
      project: { id: string };
      user: { id: string };
      catalog: { type: string; endpoints: { interface: string; url: string }[] }[];
    };
    this.projectId = granted.project.id;
    this.userId = granted.user.id;
    this.#urls = new Map(
      granted.catalog.map(({ type, endpoints }) => [
        type,
        endpoints.find((endpoint) => endpoint.interface === 'public')?.url ?? '',
      ]),
    );
  }

  static async login(credentials: Credentials): Promise<CloudApi> {
    const domain = { name: credentials.domain };
    const answer = await fetch(`${credentials.authUrl}/auth/tokens`, {
      method: 'POST',
      headers: { ...oneRequest, 'content-type': 'application/json' },
      body: JSON.stringify({
        auth: {
          identity: {
            methods: ['password'],
            password: { user: { name: credentials.user, password: credentials.password, domain } },
          },
          scope: { project: { name: credentials.project, domain } },
        },
      }),
    });
    const text = await answer.text();
    if (answer.status !== 201) throw new CloudApiError('POST /auth/tokens', answer.status, text);
    return new CloudApi(credentials, answer.headers.get('x-subject-token') ?? '', JSON.parse(text) as Json);
  }

  /** Base URL of a service; identity, image and network with their version. */
  url(service: ServiceType): string {
    const url = this.#urls.get(service);
    if (!url) throw new Error(`no ${service} in the catalogue`);
    const version = { identity: '', image: '/v2', network: '/v2.0', 'key-manager': '/v1' }[service as string] ?? '';
    return url + version;
  }

  /** One request. @throws CloudApiError from 400 on */
  async call(service: ServiceType, method: string, route: string, body?: unknown): Promise<Json> {
    const version = headers[service];
    const answer = await fetch(this.url(service) + route, {
      method,
      headers: {
        ...oneRequest,
        'x-auth-token': this.token,
        ...(version === undefined ? {} : { 'openstack-api-version': version }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (answer.status >= 400) throw new CloudApiError(`${method} ${service} ${route}`, answer.status, text);
    return text.startsWith('{') ? (JSON.parse(text) as Json) : {};
  }

  /** The one object under `key` of the answer. */
  async one<T = Json>(service: ServiceType, method: string, route: string, key: string, body?: unknown): Promise<T> {
    return (await this.call(service, method, route, body))[key] as T;
  }

  /** The whole list under `key`, all pages. */
  async list<T = Json>(service: ServiceType, route: string, key: string): Promise<T[]> {
    const items: T[] = [];
    for (let next: string | undefined = route; next !== undefined; ) {
      const page: Json = await this.call(service, 'GET', next);
      items.push(...((page[key] ?? []) as T[]));
      const links = page[`${key}_links`] as { rel: string; href: string }[] | undefined;
      const href: string | undefined =
        links?.find((link) => link.rel === 'next')?.href ?? (page.next as string | undefined);
      next = typeof href === 'string' ? this.#below(service, href) : undefined;
    }
    return items;
  }

  /** A link's part below the service's URL: Glance gives `/v2/images?...`, the others whole URLs. */
  #below(service: ServiceType, href: string): string {
    const base = new URL(this.url(service));
    const target = new URL(href, base);
    return target.pathname.slice(base.pathname.replace(/\/$/, '').length) + target.search;
  }

  /** Deletes; gone already is fine. */
  async remove(service: ServiceType, route: string): Promise<void> {
    try {
      await this.call(service, 'DELETE', route);
    } catch (error) {
      if (!(error instanceof CloudApiError && error.status === 404)) throw error;
    }
  }

  /** Polls an object until `done`; an answer of 404 gives null, which `done` may accept. */
  async until<T = Json>(
    what: string,
    [service, route, key]: [ServiceType, string, string],
    done: (object: T | null) => boolean,
    seconds = 180,
  ): Promise<T | null> {
    let last: T | null = null;
    for (const end = Date.now() + seconds * 1000; Date.now() < end; await sleep(500)) {
      try {
        last = await (key === ''
          ? (this.call(service, 'GET', route) as Promise<T>)
          : this.one<T>(service, 'GET', route, key));
      } catch (error) {
        if (!(error instanceof CloudApiError && error.status === 404)) throw error;
        last = null;
      }
      if (done(last)) return last;
    }
    throw new Error(`${what}: not within ${seconds} s; last seen ${JSON.stringify(last)?.slice(0, 1500)}`);
  }
}
