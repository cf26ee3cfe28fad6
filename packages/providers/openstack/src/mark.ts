import { createHash } from 'node:crypto';
import { GodwitError } from '@godwit/domain';

/** Everything made by Godwit in a cloud is named so. */
export const PREFIX = 'godwit-';

/** What a thing is for; stands in its metadata. */
export type Role =
  | 'source'
  | 'replica'
  | 'disk-snapshot'
  | 'clone'
  | 'instance'
  | 'minion'
  | 'test-network'
  | 'staging';

/** @throws GodwitError INVALID_INPUT: keys stand in names and queries */
export function checkKey(key: string): string {
  if (/^[a-z0-9-]{1,40}$/.test(key)) return key;
  throw new GodwitError('INVALID_INPUT', 'key', { reason: 'a key has 1 to 40 of the characters a-z, 0-9 and -' });
}

/** Short, and the same for the same text: for names that must not be longer than the platform allows. */
export function digest(text: string, length = 10): string {
  return createHash('sha256').update(text).digest('hex').slice(0, length);
}

/** Metadata of servers, volumes, snapshots and images. */
export function marksOf(key: string, role: Role, more: Record<string, string> = {}): Record<string, string> {
  return { godwit_key: checkKey(key), godwit_role: role, ...more };
}

/** True when metadata says that Godwit made the thing under that key. */
export function isMarked(
  metadata: Readonly<Record<string, unknown>> | null | undefined,
  key: string,
  role?: Role,
): boolean {
  return metadata?.godwit_key === key && (role === undefined || metadata.godwit_role === role);
}

/** True when Godwit made the thing, under whatever key. */
export function isOurs(metadata: Readonly<Record<string, unknown>> | null | undefined): boolean {
  return typeof metadata?.godwit_key === 'string';
}

/** The mark of Neutron's things, which have tags and no metadata. */
export function tagOf(key: string): string {
  return `godwit_key=${checkKey(key)}`;
}
