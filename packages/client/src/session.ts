import { ApiError } from './api-error.ts';

/** How to sign in at a Keystone v3, Godwit's own or any other. */
export interface Credentials {
  /** `http://127.0.0.1:7000/identity/v3` */
  authUrl: string;
  /** A token in place of a password; it is exchanged for one of the project when a project is named. */
  token?: string;
  username?: string;
  userId?: string;
  password?: string;
  /** Domain of the user name. Default `Default`. */
  userDomainName?: string;
  userDomainId?: string;
  /** Neither project: the user's default project. */
  projectName?: string;
  projectId?: string;
  projectDomainName?: string;
  projectDomainId?: string;
  /** Region of the catalog. Default: any. */
  region?: string;
  /** Interface of the catalog. Default `public`. */
  interface?: 'public' | 'internal' | 'admin';
}

/** Service type of the API in a catalog. */
const SERVICE_TYPE = 'migration';
/** A token is renewed this many milliseconds before it ends. */
const EARLY = 60_000;

interface CatalogEntry {
  type: string;
  endpoints: { interface: string; region?: string; region_id?: string; url: string }[];
}

interface TokenBody {
  expires_at: string;
  project?: { id: string; name: string };
  catalog?: CatalogEntry[];
}

interface Held {
  token: string;
  body: TokenBody;
}

/** A signed-in user: gives a valid token, in memory only, and knows where the API is. */
export class Session {
  readonly #credentials: Credentials;
  readonly #fetch: typeof fetch;
  #held: Promise<Held> | undefined;

  constructor(credentials: Credentials, fetcher: typeof fetch = fetch) {
    this.#credentials = credentials;
    this.#fetch = fetcher;
  }

  /** @throws ApiError when the identity service refuses or does not answer */
  async token(): Promise<string> {
    return (await this.#current()).token;
  }

  /** A token in place of one that the server no longer takes. */
  async renewed(refused: string): Promise<string> {
    const held = this.#held;
    if (held !== undefined && (await held).token === refused && this.#held === held) this.#held = undefined;
    return this.token();
  }

  /** Id of the project that the token speaks for; undefined for an unscoped one. */
  async projectId(): Promise<string | undefined> {
    return (await this.#current()).body.project?.id;
  }

  /**
   * URL of a service as the catalog has it, without a slash at the end.
   *
   * @param type default: the API's
   * @throws ApiError when the catalog has none
   */
  async endpoint(type = SERVICE_TYPE): Promise<string> {
    const { body } = await this.#current();
    const wanted = this.#credentials.interface ?? 'public';
    const { region } = this.#credentials;
    const match = (body.catalog ?? [])
      .filter((service) => service.type === type)
      .flatMap((service) => service.endpoints)
      .find((entry) => {
        const here = region === undefined || entry.region === region || entry.region_id === region;
        return entry.interface === wanted && here;
      });
    if (match === undefined) {
      throw new ApiError(`The catalog has no ${wanted} endpoint of type "${type}".`, {
        status: 0,
        remedy: 'Sign in with a project, or name the endpoint.',
      });
    }
    return match.url.replace(/\/+$/, '');
  }

  /**
   * A request to the identity service with the caller's token; answers the body, undefined when there is none.
   *
   * @param path below its version: `/users`
   * @throws ApiError
   */
  async identity(method: string, path: string, body?: unknown): Promise<unknown> {
    const url = `${this.#credentials.authUrl.replace(/\/+$/, '')}${path}`;
    const response = await this.#send(url, {
      method,
      headers: {
        'x-auth-token': await this.token(),
        accept: 'application/json',
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw await ApiError.of(response);
    const text = await response.text();
    return text === '' ? undefined : JSON.parse(text);
  }

  /**
   * Reads from another service of the catalog, with the caller's token.
   *
   * @param type of the service: `coriolis-logger`
   * @param path below its URL: `/logs/`
   * @throws ApiError
   */
  async read(type: string, path: string): Promise<Response> {
    const headers = { 'x-auth-token': await this.token() };
    const response = await this.#send(`${await this.endpoint(type)}${path}`, { headers });
    if (!response.ok) throw await ApiError.of(response);
    return response;
  }

  async #send(url: string, init: RequestInit): Promise<Response> {
    try {
      return await this.#fetch(url, init);
    } catch (cause) {
      throw new ApiError(`${url} does not answer.`, { status: 0, remedy: 'Check that the server runs.' }, { cause });
    }
  }

  async #current(): Promise<Held> {
    const held = this.#held;
    if (held !== undefined) {
      const { body } = await held;
      if (Date.parse(body.expires_at) - EARLY > Date.now()) return held;
      if (this.#held !== held) return this.#current();
    }
    const fresh = this.#signIn();
    this.#held = fresh;
    fresh.catch(() => {
      if (this.#held === fresh) this.#held = undefined;
    });
    return fresh;
  }

  async #signIn(): Promise<Held> {
    const url = `${this.#credentials.authUrl.replace(/\/+$/, '')}/auth/tokens`;
    const body = JSON.stringify({ auth: { identity: identityOf(this.#credentials), ...scopeOf(this.#credentials) } });
    const headers = { 'content-type': 'application/json', accept: 'application/json' };
    const response = await this.#send(url, { method: 'POST', headers, body });
    if (!response.ok) throw await ApiError.of(response);
    const token = response.headers.get('x-subject-token');
    if (token === null) throw new ApiError(`${url} gave no token.`, { status: response.status });
    return { token, body: ((await response.json()) as { token: TokenBody }).token };
  }
}

function identityOf(credentials: Credentials): object {
  const { token, userId, username, password = '', userDomainId, userDomainName = 'Default' } = credentials;
  if (token !== undefined) return { methods: ['token'], token: { id: token } };
  const domain = userDomainId === undefined ? { name: userDomainName } : { id: userDomainId };
  const user = userId === undefined ? { name: username, domain, password } : { id: userId, password };
  return { methods: ['password'], password: { user } };
}

function scopeOf(credentials: Credentials): object {
  const { projectId, projectName, projectDomainId, projectDomainName = 'Default' } = credentials;
  if (projectId !== undefined) return { scope: { project: { id: projectId } } };
  if (projectName === undefined) return {};
  const domain = projectDomainId === undefined ? { name: projectDomainName } : { id: projectDomainId };
  return { scope: { project: { name: projectName, domain } } };
}
