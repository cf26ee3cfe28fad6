import { GodwitError } from '@godwit/domain';
import { Type } from 'typebox';
import { readAnswer } from './answer.ts';
import { answerError } from './answer-error.ts';
import { idIn, type Transport } from './transport.ts';

type Domain = { id: string } | { name: string };
type User = { id: string } | { name: string; domain: Domain };

/** Who signs in where, and which services are taken. */
export interface Credentials {
  /** Keystone; with or without `/v3`. */
  authUrl: string;
  auth:
    | { kind: 'password'; user: User; password: string; project: { id: string } | { name: string; domain: Domain } }
    | { kind: 'application_credential'; id: string; secret: string }
    | { kind: 'application_credential'; name: string; user: User; secret: string };
  /** null: the only one. */
  region: string | null;
  interface: 'public' | 'internal' | 'admin';
  caFile: string | null;
  insecure: boolean;
}

const catalogSchema = Type.Array(
  Type.Object({
    type: Type.String(),
    endpoints: Type.Array(
      Type.Object({
        interface: Type.String(),
        url: Type.String(),
        region: Type.Optional(Type.Union([Type.String(), Type.Null()])),
        region_id: Type.Optional(Type.Union([Type.String(), Type.Null()])),
      }),
    ),
  }),
);

const tokenSchema = Type.Object({
  token: Type.Object({
    expires_at: Type.String(),
    user: Type.Object({ id: Type.String(), name: Type.String() }),
    project: Type.Optional(Type.Object({ id: Type.String(), name: Type.String() })),
    catalog: Type.Optional(catalogSchema),
  }),
});

export type Catalog = Type.Static<typeof catalogSchema>;

export interface Token {
  value: string;
  /** Milliseconds since 1970. */
  expiresAt: number;
  userId: string;
  projectId: string;
  projectName: string;
  catalog: Catalog;
}

/** The v3 root of Keystone, without a slash at the end. */
export function identityUrl(authUrl: string): string {
  const base = authUrl.replace(/\/+$/, '').replace(/\/v2\.0$/, '');
  return /\/v3$/.test(base) ? base : `${base}/v3`;
}

/** Body of POST /v3/auth/tokens. */
export function authBody(auth: Credentials['auth']): object {
  if (auth.kind === 'password') {
    return {
      auth: {
        identity: { methods: ['password'], password: { user: { ...auth.user, password: auth.password } } },
        scope: { project: auth.project },
      },
    };
  }
  const { kind: _, ...credential } = auth;
  return { auth: { identity: { methods: ['application_credential'], application_credential: credential } } };
}

/**
 * A new token.
 *
 * @throws GodwitError AUTHENTICATION_FAILED, CONNECTION_FAILED, BUSY
 */
export async function authenticate(
  transport: Transport,
  credentials: Credentials,
  object: string,
  signal: AbortSignal,
): Promise<Token> {
  const answer = await transport.send({
    method: 'POST',
    url: `${identityUrl(credentials.authUrl)}/auth/tokens`,
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body: JSON.stringify(authBody(credentials.auth)),
    object,
    signal,
    // Tokens that nobody got harm nobody.
    repeatable: true,
  });
  const value = answer.headers['x-subject-token'];
  if (answer.status === 404) {
    const reason = `${credentials.authUrl} is no Keystone v3`;
    throw new GodwitError('CONNECTION_FAILED', object, { reason });
  }
  if (answer.status !== 201 || value === undefined) {
    throw answerError(object, { status: answer.status, body: answer.text, requestId: idIn(answer.headers) });
  }
  const { token } = readAnswer(tokenSchema, answer.text, object);
  if (token.project === undefined) {
    throw new GodwitError('AUTHENTICATION_FAILED', object, { reason: 'the token is for no project' });
  }
  return {
    value,
    expiresAt: Date.parse(token.expires_at),
    userId: token.user.id,
    projectId: token.project.id,
    projectName: token.project.name,
    catalog: token.catalog ?? [],
  };
}

/** Names that a kind of service has or had in catalogs, the present one first. */
export const serviceTypes = {
  compute: ['compute'],
  image: ['image'],
  network: ['network'],
  volume: ['block-storage', 'volumev3', 'block-store', 'volume'],
  placement: ['placement'],
  keyManager: ['key-manager'],
} as const;
export type ServiceName = keyof typeof serviceTypes;

/** What a catalog has under the wanted names. */
export type Lookup = { found: true; url: string } | { found: false; reason: string };

/** The URL of a service in a catalog; says why when there is none, or more than one. */
export function lookUp(
  catalog: Catalog,
  service: ServiceName,
  credentials: Pick<Credentials, 'region' | 'interface'>,
): Lookup {
  for (const type of serviceTypes[service]) {
    const endpoints = catalog.filter((entry) => entry.type === type).flatMap((entry) => entry.endpoints);
    if (endpoints.length === 0) continue;
    const offered = endpoints.filter((endpoint) => endpoint.interface === credentials.interface);
    const regionOf = (endpoint: (typeof endpoints)[number]) => endpoint.region_id ?? endpoint.region ?? '';
    const regions = [...new Set(offered.map(regionOf))];
    const wanted = credentials.region ?? (regions.length === 1 ? regions[0] : undefined);
    if (wanted === undefined) {
      const reason =
        regions.length === 0
          ? `the catalog has no ${credentials.interface} URL for ${type}`
          : `the catalog has the regions ${regions.join(', ')}; choose one with region_name`;
      return { found: false, reason };
    }
    const endpoint = offered.find((one) => regionOf(one) === wanted);
    if (endpoint !== undefined) return { found: true, url: endpoint.url.replace(/\/+$/, '') };
    return {
      found: false,
      reason: `the catalog has no ${credentials.interface} URL for ${type} in region ${wanted}; it has ${regions.join(', ') || 'none'}`,
    };
  }
  return { found: false, reason: `the catalog has no service of type ${serviceTypes[service][0]}` };
}
