import { readFileSync } from 'node:fs';
import type { ApiObject } from './api.ts';
import type { Json } from './cell.ts';
import type { CliContext } from './context.ts';
import { UsageError } from './usage-error.ts';

/**
 * The object given by `--NAME JSON` or `--NAME-file PATH`; PATH `-` is standard input.
 *
 * @param name the option without dashes, for messages
 * @returns undefined when neither was given
 * @throws UsageError when both were given, the file cannot be read or the text is not a JSON object
 */
export async function jsonOption(
  context: CliContext,
  name: string,
  inline: string | undefined,
  file: string | undefined,
): Promise<ApiObject | undefined> {
  if (inline !== undefined && file !== undefined)
    throw new UsageError(`--${name} and --${name}-file exclude each other.`);
  if (inline !== undefined) return parseObject(inline, `--${name}`);
  if (file === undefined) return undefined;
  return parseObject(
    file === '-' ? await context.readStdin() : readText(file, `--${name}-file`),
    file === '-' ? 'standard input' : file,
  );
}

/** The text of a file named on the command line. */
export function readText(path: string, option: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(`${option}: cannot read ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function parseObject(text: string, where: string): ApiObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    // The engine's message quotes the text, which may hold a secret: only its place is passed on.
    const place = /position \d+(?: \(line \d+ column \d+\))?/.exec(error instanceof Error ? error.message : '');
    throw new UsageError(`${where} is not valid JSON${place === null ? '' : `: wrong at ${place[0]}`}.`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new UsageError(`${where} must be a JSON object: {"name": value, ...}.`);
  }
  return value as ApiObject;
}

const SECRET_NAME = /pass(word|phrase|wd)?$|secret|token|private_?key|pkey|credential/i;
const SECRET_URL = /^[a-z][a-z0-9+.-]*:\/\/[^/@\s]*:[^/@\s]+@/i;

/** The fields of a connection that look like secrets, as dotted paths. References to a secret store are none. */
export function secretFields(value: Json, path = ''): string[] {
  if (Array.isArray(value)) return value.flatMap((item, index) => secretFields(item, `${path}[${index}]`));
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).flatMap(([key, item]) => {
      const below = path === '' ? key : `${path}.${key}`;
      const named = SECRET_NAME.test(key) && key !== 'secret_ref' && typeof item === 'string' && item !== '';
      return named ? [below] : secretFields(item, below);
    });
  }
  return typeof value === 'string' && SECRET_URL.test(value) ? [path] : [];
}
