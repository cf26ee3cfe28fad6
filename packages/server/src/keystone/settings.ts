import { readFileSync, statSync } from 'node:fs';
import { GodwitError } from '@godwit/domain';
import { parse, YAMLParseError } from 'yaml';

/** How Godwit speaks to Keystone for itself: GODWIT_HOME/keystone.yaml, readable by its owner alone. */
export interface KeystoneSettings {
  /** `https://keystone.example.org:5000/v3` */
  authUrl: string;
  /** The service account, by application credential. */
  credentialId: string;
  credentialSecret: string;
  /** Region whose endpoints are used. Default: any. */
  region?: string;
}

/**
 * @throws GodwitError CONFIG_INVALID when it is missing, open to others, or lacks something; never quotes a value
 */
export function readKeystoneSettings(file: string): KeystoneSettings {
  const content = readMap(file);
  if ((statSync(file).mode & 0o077) !== 0) throw wrong(file, 'others can read it; make it mode 0600');
  const text = (key: string): string => {
    const value = content[key];
    if (typeof value !== 'string' || value === '') throw wrong(file, `it lacks ${key}`);
    return value;
  };
  const url = URL.parse(text('auth_url'));
  if (url === null || !/^https?:$/.test(url.protocol)) throw wrong(file, 'auth_url must be an http:// or https:// URL');
  const root = url.href.replace(/\/+$/, '');
  return {
    authUrl: root.endsWith('/v3') ? root : `${root}/v3`,
    credentialId: text('application_credential_id'),
    credentialSecret: text('application_credential_secret'),
    ...(content.region_name !== undefined && { region: text('region_name') }),
  };
}

/**
 * The policy file: labels and names to rules; none gives none.
 *
 * @throws GodwitError CONFIG_INVALID when it is not a map of texts
 */
export function readPolicies(file: string): Record<string, string> {
  const content = readMap(file, {});
  for (const [name, rule] of Object.entries(content)) {
    if (typeof rule !== 'string') throw wrong(file, `the rule of "${name}" must be a text`);
  }
  return content as Record<string, string>;
}

function readMap(file: string, fallback?: Record<string, unknown>): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (fallback !== undefined && error instanceof Error && 'code' in error && error.code === 'ENOENT') return fallback;
    throw wrong(file, error instanceof Error ? error.message : String(error));
  }
  let content: unknown;
  try {
    content = parse(text) ?? {};
  } catch (error) {
    // The parser's message quotes the line, and that may hold a secret.
    const at = error instanceof YAMLParseError ? error.linePos?.[0] : undefined;
    throw wrong(file, `it is no YAML${at === undefined ? '' : `: look at line ${at.line}, column ${at.col}`}`);
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) throw wrong(file, 'it must be a map');
  return content as Record<string, unknown>;
}

const wrong = (file: string, reason: string) => new GodwitError('CONFIG_INVALID', file, { reason });
