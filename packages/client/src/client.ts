import createClient, { type Client } from 'openapi-fetch';
import { ApiError } from './api-error.ts';
import { type FollowOptions, followStream, type GodwitEvent } from './event-stream.ts';
import type { components, paths } from './generated/schema.ts';
import { type Credentials, Session } from './session.ts';

/** Shapes of the API by name: `Schemas['Transfer']`. */
export type Schemas = components['schemas'];

/** Paths below the API's version; the others have the server's root as their base. */
type ApiPaths = Omit<paths, '/' | '/healthz' | '/readyz' | '/metrics' | Extract<keyof paths, `/identity/${string}`>>;

export interface ClientOptions {
  credentials: Credentials;
  /** URL of the API with its version, in place of the catalog's: `http://host:7000/v1`. */
  endpoint?: string;
  /** Default: the platform's. */
  fetch?: typeof fetch;
}

/** A signed-in client. */
export interface GodwitClient {
  /**
   * Typed calls: `api.GET('/transfers/{transfer_id}', { params: { path: { transfer_id } } })`. `data` is the answer; a
   * refusal rejects with ApiError. A token that ends is renewed and the call sent again, once.
   */
  readonly api: Client<ApiPaths>;
  readonly session: Session;
  /** URL of the API, without a slash at the end. */
  readonly endpoint: string;
  /** Follows the event stream; see followStream. */
  followEvents(options?: FollowOptions): AsyncGenerator<GodwitEvent>;
}

/**
 * Signs in and gives a client.
 *
 * @throws ApiError when the identity service refuses, does not answer, or knows no such API
 */
export async function connectGodwit(options: ClientOptions): Promise<GodwitClient> {
  const fetcher = options.fetch ?? fetch;
  const session = new Session(options.credentials, fetcher);
  const endpoint = (options.endpoint ?? (await session.endpoint())).replace(/\/+$/, '');

  // The signal goes beside the request, not in it: a request that was collected forgets its signal, and its answer runs on.
  async function send(request: Request, signal?: AbortSignal): Promise<Response> {
    const again = request.clone();
    const token = await session.token();
    const response = await attempt(fetcher, request, token, signal);
    if (response.status !== 401) return response;
    await response.body?.cancel();
    return attempt(fetcher, again, await session.renewed(token), signal);
  }

  const api = createClient<ApiPaths>({
    baseUrl: endpoint,
    fetch: (request) => send(request),
    headers: { accept: 'application/json' },
  });
  api.use({
    onResponse: async ({ response }) => {
      if (!response.ok) throw await ApiError.of(response);
    },
  });

  return {
    api,
    session,
    endpoint,
    followEvents: (follow) =>
      followStream(async (query, headers, signal) => {
        const url = `${endpoint}/events?${query}`;
        const response = await send(new Request(url, { headers }), signal);
        if (!response.ok) throw await ApiError.of(response);
        return response;
      }, follow),
  };
}

async function attempt(
  fetcher: typeof fetch,
  request: Request,
  token: string,
  signal: AbortSignal | undefined,
): Promise<Response> {
  request.headers.set('x-auth-token', token);
  try {
    return await fetcher(request, signal && { signal });
  } catch (cause) {
    if (signal?.aborted || request.signal.aborted) throw cause;
    throw new ApiError(
      `${new URL(request.url).origin} does not answer.`,
      { status: 0, remedy: 'Check that the server runs and that the address is right.' },
      { cause },
    );
  }
}
