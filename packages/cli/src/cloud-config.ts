import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { GlobalOptions } from './global-options.ts';
import { parseOpenrc } from './openrc.ts';
import { suggestion, UsageError } from './usage-error.ts';

/** Who signs in, and where. What is undefined was said nowhere. */
export interface CloudConfig {
  /** Keystone v3 base URL, ends with `/v3` as a rule. */
  authUrl: string | undefined;
  username: string | undefined;
  userId: string | undefined;
  password: string | undefined;
  /** A token to use instead of a password. */
  token: string | undefined;
  userDomainName: string | undefined;
  userDomainId: string | undefined;
  projectName: string | undefined;
  projectId: string | undefined;
  projectDomainName: string | undefined;
  projectDomainId: string | undefined;
  regionName: string | undefined;
  /** `public`, `internal` or `admin`. Default `public`. */
  interface: string;
  /** PEM file of the authority that signed the server's certificate. */
  caFile: string | undefined;
  /** URL of the API that replaces the catalog's. */
  endpoint: string | undefined;
  /** Where the authentication URL was read, for messages. */
  origin: string;
}

/** The world outside, so that resolution is a function of its input. */
export interface ConfigSources {
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
  home: string;
  /** The text of a file, or undefined when there is none. */
  readText: (path: string) => string | undefined;
  parseYaml: (text: string) => unknown;
}

type Values = Record<string, string | undefined>;

/** Names of one setting: option without dashes, variable, key in clouds.yaml (`auth.` inside the auth block). */
const SETTINGS = {
  authUrl: ['os-auth-url', ['OS_AUTH_URL'], 'auth.auth_url'],
  username: ['os-username', ['OS_USERNAME'], 'auth.username'],
  userId: ['os-user-id', ['OS_USER_ID'], 'auth.user_id'],
  password: ['', ['OS_PASSWORD'], 'auth.password'],
  token: ['', ['OS_TOKEN', 'OS_AUTH_TOKEN'], 'auth.token'],
  userDomainName: ['os-user-domain-name', ['OS_USER_DOMAIN_NAME'], 'auth.user_domain_name'],
  userDomainId: ['os-user-domain-id', ['OS_USER_DOMAIN_ID'], 'auth.user_domain_id'],
  projectName: ['os-project-name', ['OS_PROJECT_NAME', 'OS_TENANT_NAME'], 'auth.project_name'],
  projectId: ['os-project-id', ['OS_PROJECT_ID', 'OS_TENANT_ID'], 'auth.project_id'],
  projectDomainName: ['os-project-domain-name', ['OS_PROJECT_DOMAIN_NAME'], 'auth.project_domain_name'],
  projectDomainId: ['os-project-domain-id', ['OS_PROJECT_DOMAIN_ID'], 'auth.project_domain_id'],
  regionName: ['os-region-name', ['OS_REGION_NAME'], 'region_name'],
  interface: ['os-interface', ['OS_INTERFACE'], 'interface'],
  caFile: ['os-cacert', ['OS_CACERT'], 'cacert'],
} as const satisfies Record<string, readonly [string, readonly string[], string]>;

type Setting = keyof typeof SETTINGS;
const settings = Object.keys(SETTINGS) as Setting[];

/**
 * Settles who signs in where: options, then `OS_*`, then the named cloud of clouds.yaml, then `GODWIT_HOME/openrc`.
 *
 * A secret never goes to a place it was not written for: the cloud's password is dropped when an option or variable names
 * another authentication URL, and openrc is read only when nothing above says where to sign in.
 *
 * @throws UsageError when the named cloud does not exist
 */
export function resolveCloudConfig(globals: GlobalOptions, sources: ConfigSources): CloudConfig {
  const options = fromOptions(globals.os);
  const env = fromVariables(sources.env);
  const cloudName = globals.os.get('os-cloud') ?? nonEmpty(sources.env.OS_CLOUD);
  const cloud = cloudName === undefined ? {} : namedCloud(cloudName, sources);
  const elsewhere = options.authUrl ?? env.authUrl;
  if (elsewhere !== undefined && elsewhere !== cloud.authUrl) {
    cloud.password = undefined;
    cloud.token = undefined;
  }
  const openrcPath = join(godwitHome(sources), 'openrc');
  const above: Values = { ...defined(cloud), ...defined(env), ...defined(options) };
  const openrc = above.authUrl === undefined ? fromVariables(parseOpenrc(sources.readText(openrcPath) ?? '')) : {};
  const all: Values = { ...defined(openrc), ...above };
  const origin = [
    ['--os-auth-url', options],
    ['OS_AUTH_URL', env],
    [`cloud ${cloudName ?? ''}`, cloud],
    [openrcPath, openrc],
  ].find((entry): entry is [string, Values] => (entry[1] as Values).authUrl !== undefined)?.[0];
  const get = (name: Setting): string | undefined => all[name];
  return {
    authUrl: get('authUrl'),
    username: get('username'),
    userId: get('userId'),
    password: get('password'),
    token: get('token'),
    userDomainName: get('userDomainName'),
    userDomainId: get('userDomainId'),
    projectName: get('projectName'),
    projectId: get('projectId'),
    projectDomainName: get('projectDomainName'),
    projectDomainId: get('projectDomainId'),
    regionName: get('regionName'),
    interface: get('interface') ?? 'public',
    caFile: get('caFile'),
    endpoint: globals.endpoint ?? nonEmpty(sources.env.GODWIT_ENDPOINT) ?? nonEmpty(sources.env.CORIOLIS_ENDPOINT),
    origin: origin ?? 'nowhere',
  };
}

/** `GODWIT_HOME`, default `~/.local/share/godwit`. */
export function godwitHome(sources: Pick<ConfigSources, 'env' | 'home'>): string {
  return nonEmpty(sources.env.GODWIT_HOME) ?? join(sources.home, '.local', 'share', 'godwit');
}

/** The real world: this process and its files. The YAML parser is loaded only when a cloud is named. */
export async function processSources(globals: GlobalOptions): Promise<ConfigSources> {
  const named = globals.os.has('os-cloud') || nonEmpty(process.env.OS_CLOUD) !== undefined;
  const parse = named ? (await import('yaml')).parse : () => undefined;
  return {
    env: process.env,
    cwd: process.cwd(),
    home: homedir(),
    readText: (path) => (existsSync(path) ? readFileSync(path, 'utf8') : undefined),
    parseYaml: (text) => parse(text) as unknown,
  };
}

function fromOptions(os: ReadonlyMap<string, string>): Values {
  const values: Values = {};
  for (const name of settings) values[name] = os.get(SETTINGS[name][0]);
  values.projectName ??= os.get('os-tenant-name');
  values.projectId ??= os.get('os-tenant-id');
  return values;
}

function fromVariables(env: Readonly<Record<string, string | undefined>>): Values {
  const values: Values = {};
  for (const name of settings) {
    values[name] = SETTINGS[name][1].map((variable) => nonEmpty(env[variable])).find((value) => value !== undefined);
  }
  return values;
}

/** The cloud in clouds.yaml with secure.yaml laid over it; the first folder that holds the file wins, as with OpenStack. */
function namedCloud(name: string, sources: ConfigSources): Values {
  const clouds = firstFile('clouds.yaml', nonEmpty(sources.env.OS_CLIENT_CONFIG_FILE), sources);
  const secure = firstFile('secure.yaml', nonEmpty(sources.env.OS_CLIENT_SECURE_FILE), sources);
  const known = Object.keys(clouds);
  if (!known.includes(name)) {
    throw new UsageError(
      known.length === 0
        ? `Cloud ${name} was not found: there is no clouds.yaml in ${configFolders(sources).join(', ')}.`
        : `Cloud ${name} is not in clouds.yaml.${suggestion(name, known)} Known: ${known.join(', ')}.`,
    );
  }
  const values: Values = {};
  for (const setting of settings) {
    const path = SETTINGS[setting][2].split('.');
    values[setting] = scalarAt(secure[name], path) ?? scalarAt(clouds[name], path);
  }
  return values;
}

function firstFile(file: string, override: string | undefined, sources: ConfigSources): Record<string, unknown> {
  const paths = [...(override === undefined ? [] : [override]), ...configFolders(sources).map((f) => join(f, file))];
  for (const path of paths) {
    const text = sources.readText(path);
    if (text === undefined) continue;
    try {
      return objectAt(sources.parseYaml(text), 'clouds') ?? {};
    } catch (error) {
      throw new UsageError(`${path} is not valid YAML: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return {};
}

/** The three folders that OpenStack tools read, then Godwit's own, which the server writes. */
function configFolders(sources: ConfigSources): string[] {
  const config = nonEmpty(sources.env.XDG_CONFIG_HOME) ?? join(sources.home, '.config');
  return [sources.cwd, join(config, 'openstack'), '/etc/openstack', godwitHome(sources)];
}

function objectAt(value: unknown, key: string): Record<string, unknown> | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const found = (value as Record<string, unknown>)[key];
  return typeof found === 'object' && found !== null ? (found as Record<string, unknown>) : undefined;
}

function scalarAt(value: unknown, path: readonly string[]): string | undefined {
  let found: unknown = value;
  for (const key of path) {
    found = typeof found === 'object' && found !== null ? (found as Record<string, unknown>)[key] : undefined;
  }
  return typeof found === 'string' || typeof found === 'number' ? nonEmpty(String(found)) : undefined;
}

function defined(values: Values): Values {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === undefined || value === '' ? undefined : value;
}
