import { GodwitError, type Json, type JsonObject } from '@godwit/domain';
import { parse } from 'yaml';

/** Keys of clouds.yaml (openstacksdk) under the names of connection_info. */
const names: Readonly<Record<string, string>> = {
  region_name: 'region_name',
  interface: 'interface',
  endpoint_type: 'interface',
  cacert: 'ca_file',
};

const authNames = new Set([
  'auth_url',
  'username',
  'user_id',
  'password',
  'user_domain_name',
  'user_domain_id',
  'project_name',
  'project_id',
  'project_domain_name',
  'project_domain_id',
  'application_credential_id',
  'application_credential_name',
  'application_credential_secret',
]);

/**
 * An entry of clouds.yaml as fields of connection_info. Keys of other programs' concern are left out.
 *
 * @throws GodwitError INVALID_INPUT: no YAML, or no such entry
 */
export function entryOf(yaml: string, cloud: string): JsonObject {
  const refuse = (reason: string, cause?: unknown) =>
    new GodwitError('INVALID_INPUT', 'connection_info', { reason }, { cause });
  let document: unknown;
  try {
    document = parse(yaml, { maxAliasCount: 20 });
  } catch (error) {
    throw refuse('clouds.yaml is no YAML', error);
  }
  const clouds = member(document, 'clouds');
  const entry = member(clouds, cloud);
  if (typeof entry !== 'object' || entry === null) {
    const known = typeof clouds === 'object' && clouds !== null ? Object.keys(clouds).join(', ') : '';
    throw refuse(`clouds.yaml has no cloud "${cloud}"${known === '' ? '' : `; it has ${known}`}`);
  }
  const info: Record<string, Json> = {};
  for (const [name, value] of Object.entries(entry)) {
    const field = names[name];
    if (field !== undefined && typeof value === 'string') info[field] = value.replace(/URL$/, '');
  }
  if (member(entry, 'verify') === false) info.allow_untrusted = true;
  const auth = member(entry, 'auth');
  for (const [name, value] of typeof auth === 'object' && auth !== null ? Object.entries(auth) : []) {
    if (authNames.has(name) && (typeof value === 'string' || typeof value === 'number')) info[name] = String(value);
  }
  const domain = member(auth, 'domain_name') ?? member(auth, 'default_domain');
  if (typeof domain === 'string') {
    info.user_domain_name ??= domain;
    info.project_domain_name ??= domain;
  }
  return info;
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? Reflect.get(value, name)
    : undefined;
}
