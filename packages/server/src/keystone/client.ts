import { GodwitError } from '@godwit/domain';
import type { KeystoneSettings } from './settings.ts';

/** Milliseconds that a request may take. */
const PATIENCE = 10_000;
/** The service account's own token is renewed this many milliseconds before it ends. */
const EARLY = 120_000;

/** A token as Keystone describes it, as far as it is needed here. */
export interface TokenFacts {
  expires_at: string;
  user: { id: string; name: string };
  project?: { id: string; name: string };
  roles?: { name: string }[];
  catalog?: { type: string; endpoints: { interface: string; region_id?: string; url: string }[] }[];
}

/** Keystone v3, spoken to as the service account. */
export class KeystoneClient {
  readonly #settings: KeystoneSettings;
  #own: Promise<{ token: string; facts: TokenFacts }> | undefined;

  constructor(settings: KeystoneSettings) {
    this.#settings = settings;
  }

  /** Root of Keystone: `https://keystone:5000/v3`. */
  get url(): string {
    return this.#settings.authUrl;
  }

  /**
   * What a token speaks for; undefined when Keystone does not take it (unknown, expired, revoked, its user or project
   * disabled).
   *
   * @throws GodwitError CONNECTION_FAILED, AUTHENTICATION_FAILED (of the service account)
   */
  async validate(token: string): Promise<TokenFacts | undefined> {
    const answer = await this.asService(`${this.url}/auth/tokens`, { headers: { 'x-subject-token': token } });
    if (answer.status === 404 || answer.status === 401) return undefined;
    if (!answer.ok) throw this.#failed(`it answered ${answer.status}`);
    return ((await answer.json()) as { token: TokenFacts }).token;
  }

  /** A request with the service account's token; one that Keystone has forgotten is replaced once. */
  async asService(url: string, init: { headers?: Record<string, string> } = {}): Promise<Response> {
    const own = await this.#token();
    const answer = await this.#fetch(url, { ...init, headers: { ...init.headers, 'x-auth-token': own.token } });
    if (answer.status !== 401) return answer;
    await answer.body?.cancel();
    this.#own = undefined;
    const fresh = await this.#token();
    return this.#fetch(url, { ...init, headers: { ...init.headers, 'x-auth-token': fresh.token } });
  }

  /** URLs of a service in the catalog, all interfaces, without a slash at the end. */
  async endpointsOf(type: string): Promise<string[]> {
    const { facts } = await this.#token();
    const { region } = this.#settings;
    return (facts.catalog ?? [])
      .filter((service) => service.type === type)
      .flatMap((service) => service.endpoints)
      .filter((endpoint) => region === undefined || endpoint.region_id === region)
      .map((endpoint) => endpoint.url.replace(/\/+$/, ''));
  }

  async #token() {
    const held = this.#own;
    if (held !== undefined) {
      const { facts } = await held;
      if (Date.parse(facts.expires_at) - EARLY > Date.now()) return held;
    }
    const fresh = this.#signIn();
    this.#own = fresh;
    fresh.catch(() => {
      if (this.#own === fresh) this.#own = undefined;
    });
    return fresh;
  }

  async #signIn() {
    const { credentialId: id, credentialSecret: secret } = this.#settings;
    const answer = await this.#fetch(`${this.url}/auth/tokens`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        auth: { identity: { methods: ['application_credential'], application_credential: { id, secret } } },
      }),
    });
    const token = answer.headers.get('x-subject-token');
    if (answer.status === 401 || answer.status === 404) {
      throw new GodwitError('AUTHENTICATION_FAILED', this.#name(), {
        reason: 'the application credential of keystone.yaml is not accepted',
      });
    }
    if (!answer.ok || token === null) throw this.#failed(`it answered ${answer.status}`);
    return { token, facts: ((await answer.json()) as { token: TokenFacts }).token };
  }

  async #fetch(url: string, init: RequestInit): Promise<Response> {
    try {
      return await fetch(url, { ...init, signal: AbortSignal.timeout(PATIENCE), redirect: 'error' });
    } catch (error) {
      throw this.#failed(causeOf(error));
    }
  }

  #name(): string {
    return `Keystone at ${this.url}`;
  }

  #failed(reason: string): GodwitError {
    return new GodwitError('CONNECTION_FAILED', this.#name(), { reason });
  }
}

function causeOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause instanceof Error) return cause.message;
  return error instanceof Error ? error.message : String(error);
}
