import type { JsonObject } from '@godwit/domain';
import { unstorable } from './body-parser.ts';
import { badRequest, invalidInput } from './request-error.ts';

const ALPHABET = /^[A-Za-z0-9+/_-]*={0,2}$/;

/**
 * Text of a base64 parameter. Lenient as clients are: either alphabet, padding optional, a `+` that became a space.
 *
 * @throws GodwitError 400 when it is not base64 of UTF-8
 */
export function decodeText(name: string, value: string): string {
  const clean = value.replaceAll(' ', '+');
  if (!ALPHABET.test(clean) || clean.replace(/=+$/, '').length % 4 === 1) {
    throw invalidInput(`${name} is not base64`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(clean, 'base64'));
  } catch (error) {
    throw error instanceof TypeError ? invalidInput(`${name} is not base64 of UTF-8 text`) : error;
  }
}

/** `env`: base64 of a JSON object; absent: an empty one. */
export function environmentParameter(value: string | undefined): JsonObject {
  if (value === undefined) return {};
  const decoded = decodeJson('env', value);
  if (decoded === null) return {};
  if (typeof decoded !== 'object' || Array.isArray(decoded)) throw invalidInput('env must be a JSON object');
  return decoded as JsonObject;
}

/** `options`: base64 of a JSON array of option names; absent or null: empty, which means all. */
export function optionNamesParameter(value: string | undefined): string[] {
  if (value === undefined) return [];
  const decoded = decodeJson('options', value);
  if (decoded === null) return [];
  if (!Array.isArray(decoded) || !decoded.every((name) => typeof name === 'string')) {
    throw invalidInput('options must be a JSON array of names');
  }
  return decoded;
}

/** Identifier of an instance in a path. */
export function instanceParameter(value: string): string {
  const id = decodeText('instance', value);
  if (id === '') throw badRequest('The instance identifier is empty.');
  if (id.includes('\0')) throw invalidInput('instance holds a zero byte');
  return id;
}

function decodeJson(name: string, value: string): unknown {
  const text = decodeText(name, value);
  let decoded: unknown;
  try {
    decoded = JSON.parse(text);
  } catch (error) {
    throw error instanceof SyntaxError ? invalidInput(`${name} is not JSON: ${error.message}`) : error;
  }
  const problem = unstorable(decoded);
  if (problem) throw problem;
  return decoded;
}
