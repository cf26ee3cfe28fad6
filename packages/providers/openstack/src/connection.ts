import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { GodwitError, type JsonObject } from '@godwit/domain';
import { checkInput, choice, type ProviderContext } from '@godwit/provider';
import { type Static, Type } from 'typebox';
import { Cloud } from './client/cloud.ts';
import type { Credentials } from './client/identity.ts';
import { Session } from './client/session.ts';
import { entryOf } from './clouds-yaml.ts';

const text = (title: string, description: string) => Type.Optional(Type.String({ title, minLength: 1, description }));
const secret = (title: string, description: string) =>
  Type.Optional(Type.String({ title, minLength: 1, writeOnly: true, description }));

/** Field names of Coriolis' OpenStack connections where it has them. */
export const connectionSchema = Type.Object(
  {
    auth_url: text('Authentication URL', 'Keystone, for example https://cloud.example.com:5000/v3'),
    identity_api_version: Type.Optional(
      Type.Union([Type.Literal(3), Type.Literal('3')], { title: 'Identity API version', description: 'Only 3' }),
    ),
    username: text('User', 'Name of the user; with application credentials only when they are named, not given by id'),
    user_id: text('User id', 'In place of name and domain'),
    password: secret('Password', 'Of the user'),
    user_domain_name: text('User domain', 'Default "Default" when neither name nor id is given'),
    user_domain_id: text('User domain id', 'In place of its name'),
    project_name: text('Project', 'The project whose instances are moved'),
    project_id: text('Project id', 'In place of name and domain'),
    project_domain_name: text('Project domain', 'Default "Default" when neither name nor id is given'),
    project_domain_id: text('Project domain id', 'In place of its name'),
    application_credential_id: text('Application credential id', 'In place of user, password and project'),
    application_credential_name: text('Application credential', 'By name; needs the user'),
    application_credential_secret: secret('Application credential secret', 'Of the application credential'),
    region_name: text('Region', 'Absent: the only one of the catalog'),
    interface: Type.Optional(
      choice(['public', 'internal', 'admin'], {
        title: 'Interface',
        default: 'public',
        description: 'Which URLs of the catalog are used',
      }),
    ),
    ca_file: text('CA file', 'PEM file on the worker: the authority that signed the certificates'),
    allow_untrusted: Type.Optional(
      Type.Boolean({
        title: 'Accept any certificate',
        default: false,
        description: 'Insecure: anybody on the way can read the credentials and alter the disks',
      }),
    ),
    cloud: text('Cloud', 'Name of an entry of clouds.yaml; the other fields replace its values'),
    clouds_yaml: secret(
      'clouds.yaml',
      'Its text. Absent: the file that OS_CLIENT_CONFIG_FILE names in the environment of the worker, if its operator set that',
    ),
  },
  { additionalProperties: false },
);

type ConnectionInfo = Static<typeof connectionSchema>;

/** Sessions of this process, so that a token serves many calls. The oldest goes when there are too many. */
const sessions = new Map<string, Session>();
const MAX_SESSIONS = 64;

/** The cloud of an endpoint, bound to the signal of the call. Nothing of it needs closing. */
export function openCloud(ctx: ProviderContext): Cloud {
  const credentials = credentialsOf(ctx);
  const id = createHash('sha256').update(JSON.stringify(credentials)).digest('hex');
  let session = sessions.get(id);
  if (session === undefined) {
    session = new Session(credentials, ctx.endpoint);
    sessions.set(id, session);
    for (const oldest of sessions.keys()) {
      if (sessions.size <= MAX_SESSIONS) break;
      sessions.delete(oldest);
    }
  }
  return new Cloud(session, ctx.signal, ctx.endpoint);
}

/**
 * How an endpoint signs in.
 *
 * @throws GodwitError INVALID_INPUT that says what is missing
 */
export function credentialsOf(ctx: ProviderContext): Credentials {
  const given = checkInput(connectionSchema, ctx.connectionInfo, 'connection_info');
  // Laid over as they were given: the defaults of the schema must not hide what the entry says.
  const info =
    given.cloud === undefined
      ? given
      : checkInput(connectionSchema, { ...fromCloudsYaml(given), ...ctx.connectionInfo }, 'connection_info');
  const refuse = (reason: string) => new GodwitError('INVALID_INPUT', ctx.endpoint, { reason });
  if (info.auth_url === undefined) throw refuse('connection_info needs auth_url, or cloud');
  if (!/^https?:\/\//.test(info.auth_url)) throw refuse('connection_info/auth_url must begin with http:// or https://');
  return {
    authUrl: info.auth_url,
    auth: authOf(info, refuse),
    region: info.region_name ?? null,
    interface: info.interface ?? 'public',
    caFile: info.ca_file ?? null,
    insecure: info.allow_untrusted ?? false,
  };
}

function authOf(info: ConnectionInfo, refuse: (reason: string) => GodwitError): Credentials['auth'] {
  const user =
    info.user_id === undefined
      ? info.username === undefined
        ? null
        : { name: info.username, domain: domainOf(info.user_domain_id, info.user_domain_name) }
      : { id: info.user_id };
  if (info.application_credential_id !== undefined || info.application_credential_name !== undefined) {
    if (info.application_credential_secret === undefined) {
      throw refuse('connection_info needs application_credential_secret');
    }
    const key = { kind: 'application_credential', secret: info.application_credential_secret } as const;
    if (info.application_credential_id !== undefined) return { ...key, id: info.application_credential_id };
    if (user === null) throw refuse('an application credential given by name needs username or user_id');
    return { ...key, name: info.application_credential_name ?? '', user };
  }
  if (user === null) throw refuse('connection_info needs username and password, or an application credential');
  if (info.password === undefined) throw refuse('connection_info needs password');
  if (info.project_id === undefined && info.project_name === undefined) {
    throw refuse('connection_info needs project_name or project_id');
  }
  const project =
    info.project_id === undefined
      ? { name: info.project_name ?? '', domain: domainOf(info.project_domain_id, info.project_domain_name) }
      : { id: info.project_id };
  return { kind: 'password', user, password: info.password, project };
}

function domainOf(id: string | undefined, name: string | undefined): { id: string } | { name: string } {
  return id === undefined ? { name: name ?? 'Default' } : { id };
}

/** @throws GodwitError INVALID_INPUT */
function fromCloudsYaml(info: ConnectionInfo): JsonObject {
  const refuse = (reason: string, cause?: unknown) =>
    new GodwitError('INVALID_INPUT', 'connection_info', { reason }, { cause });
  let yaml = info.clouds_yaml;
  if (yaml === undefined) {
    // A file of the worker's is used only where its operator said so: whoever may make endpoints could name any entry.
    const path = process.env.OS_CLIENT_CONFIG_FILE;
    if (path === undefined || path === '') {
      throw refuse(
        'connection_info/cloud needs clouds_yaml, or OS_CLIENT_CONFIG_FILE in the environment of the worker',
      );
    }
    try {
      yaml = readFileSync(path, 'utf8');
    } catch (error) {
      throw refuse(`the file that OS_CLIENT_CONFIG_FILE names (${path}) cannot be read`, error);
    }
  }
  return entryOf(yaml, info.cloud ?? '');
}
