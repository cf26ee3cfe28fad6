import type { Json } from '@godwit/domain';

/**
 * JSON with the keys of every object in code unit order and no spaces (RFC 8785): the same text for the same data, so that
 * it can be signed.
 *
 * @throws TypeError for a number that is not a safe integer: its text would depend on who writes it
 */
export function canonicalJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value === 'number' && !Number.isSafeInteger(value)) throw new TypeError(`${value} is not an integer`);
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const members = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key]!)}`);
  return `{${members.join(',')}}`;
}
