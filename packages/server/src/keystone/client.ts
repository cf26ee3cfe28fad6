import { GodwitError } from '@godwit/domain';
import { type Answer, send } from './request.ts';
import type { KeystoneSettings } from './settings.ts';

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
    const answer = await this.asService(this.#name(), `${this.url}/auth/tokens`, { 'x-subject-token': token });
    if (answer.status === 404 || answer.status === 401) return undefined;
    return this.#factsIn(answer);
  }

  /**
   * GET with the service account's token; one that Keystone has forgotten is replaced once.
   *
   * @param peer whom it is sent to, for the error
   * @throws GodwitError CONNECTION_FAILED, AUTHENTICATION_FAILED (of the service account)
   */
  async asService(peer: string, url: string, headers: Record<string, string>): Promise<Answer> {
    const own = await this.#token();
    const answer = await send(peer, url, { headers: { ...headers, 'x-auth-token': own.token } });
    if (answer.status !== 401) return answer;
    this.#own = undefined;
    const fresh = await this.#token();
    return send(peer, url, { headers: { ...headers, 'x-auth-token': fresh.token } });
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
    const answer = await send(this.#name(), `${this.url}/auth/tokens`, {
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
    if (token === null) throw this.#failed(`it answered ${answer.status} without a token`);
    return { token, facts: this.#factsIn(answer) };
  }

  #factsIn({ status, text }: Answer): TokenFacts {
    if (status !== 200 && status !== 201) throw this.#failed(`it answered ${status}`);
    try {
      const { token } = JSON.parse(text) as { token?: TokenFacts };
      if (typeof token?.user?.id === 'string') return token;
    } catch {
      // The parser's message quotes the text.
    }
    throw this.#failed(`it answered ${status} without a word on the token`);
  }

  #name(): string {
    return `Keystone at ${this.url}`;
  }

  #failed(reason: string): GodwitError {
    return new GodwitError('CONNECTION_FAILED', this.#name(), { reason });
  }
}
