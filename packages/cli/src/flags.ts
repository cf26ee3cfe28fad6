import { type FlagParametersForType, numberParser } from '@stricli/core';
import type { CliContext } from './context.ts';
import { globalOptionsHelp } from './global-options.ts';
import { OUTPUT_FORMATS, type OutputFormat } from './output.ts';
import { UsageError } from './usage-error.ts';

/** Options of every command that prints one object. */
export interface ShowFlags {
  format: OutputFormat;
  column?: readonly string[];
  maxWidth: number;
  noindent: boolean;
}

/** Options of every command that prints a list. */
export interface ListFlags extends ShowFlags {
  sortColumn?: readonly string[];
  sortAscending: boolean;
  sortDescending: boolean;
}

export const showFlags: FlagParametersForType<ShowFlags, CliContext> = {
  format: {
    kind: 'enum',
    values: OUTPUT_FORMATS,
    default: 'table',
    brief: 'Output format',
  },
  column: {
    kind: 'parsed',
    parse: String,
    variadic: true,
    optional: true,
    placeholder: 'COLUMN',
    brief: 'Column to print; may be repeated',
  },
  maxWidth: {
    kind: 'parsed',
    parse: wholeNumber,
    default: '0',
    placeholder: 'CHARACTERS',
    brief: 'Widest table allowed; 0: no limit',
  },
  noindent: { kind: 'boolean', default: false, brief: 'JSON on one line' },
};

export const listFlags: FlagParametersForType<ListFlags, CliContext> = {
  ...showFlags,
  sortColumn: {
    kind: 'parsed',
    parse: String,
    variadic: true,
    optional: true,
    placeholder: 'COLUMN',
    brief: 'Column to sort by; may be repeated',
  },
  sortAscending: { kind: 'boolean', default: false, brief: 'Sort upwards (the default)' },
  sortDescending: { kind: 'boolean', default: false, brief: 'Sort downwards' },
};

/** Short forms of the output options. */
export const outputAliases = { f: 'format', c: 'column' } as const;

/** Options of `--wait`. */
export interface WaitFlags {
  wait: boolean;
}

export const waitFlags: FlagParametersForType<WaitFlags, CliContext> = {
  wait: { kind: 'boolean', default: false, brief: 'Follow to the end with live progress; Ctrl-C detaches' },
};

/** Options of a paged list. */
export interface PagingFlags {
  marker?: string;
  limit?: number;
  sort?: string;
  status?: string;
}

/** @param noun plural, for the descriptions: `transfers` */
export function pagingFlags(noun: string): FlagParametersForType<PagingFlags, CliContext> {
  return {
    marker: text(`Id of the last of the ${noun} already seen`, 'ID'),
    limit: {
      kind: 'parsed',
      parse: wholeNumber,
      optional: true,
      placeholder: 'COUNT',
      brief: `At most so many ${noun}`,
    },
    sort: text('Comma-separated keys, each KEY or KEY:asc or KEY:desc (the default)', 'KEY[:DIR],...'),
    status: text(`Only ${noun} with this execution status`, 'STATUS'),
  };
}

/** Query of a paged list. */
export function pagingQuery(flags: PagingFlags): Record<string, string | number | readonly string[] | undefined> {
  const keys: string[] = [];
  const directions: string[] = [];
  for (const entry of flags.sort === undefined || flags.sort === '' ? [] : flags.sort.split(',')) {
    const [key = '', direction = 'desc'] = entry.split(':');
    if (direction !== 'asc' && direction !== 'desc') {
      throw new UsageError(`--sort: "${direction}" is not a direction; use asc or desc.`);
    }
    keys.push(key);
    directions.push(direction);
  }
  return { marker: flags.marker, limit: flags.limit, status: flags.status, sort_key: keys, sort_dir: directions };
}

/** An optional text option. */
export function text(brief: string, placeholder: string) {
  return { kind: 'parsed', parse: String, optional: true, brief, placeholder } as const;
}

/** A text option that must be given. */
export function requiredText(brief: string, placeholder: string) {
  return { kind: 'parsed', parse: String, brief, placeholder } as const;
}

/** A text option that may be repeated and may be absent. */
export function texts(brief: string, placeholder: string) {
  return { kind: 'parsed', parse: String, variadic: true, optional: true, brief, placeholder } as const;
}

/** A switch that is off unless given, without a `--no-` form. */
export function toggle(brief: string) {
  return { kind: 'boolean', default: false, withNegated: false, brief } as const;
}

/** True when a repeatable option was given at least once. */
export function isGiven<T>(values: readonly T[] | undefined): values is readonly T[] {
  return values !== undefined && values.length > 0;
}

/** One positional argument. */
export interface Argument {
  parse: (input: string) => string;
  placeholder: string;
  brief: string;
}

/** A positional argument that takes any text. */
export function argument(placeholder: string, brief: string): Argument {
  return { parse: String, placeholder, brief };
}

/**
 * A positional argument that is an id and nothing else. It becomes part of a path of the API: what would lead elsewhere
 * (`../`), or to the whole list because a variable of a script was empty, is refused before anything is asked.
 */
export function idArgument(placeholder: string, brief: string): Argument {
  return { parse: idOnly, placeholder, brief };
}

function idOnly(input: string): string {
  if (/^[\w-]+$/.test(input)) return input;
  throw new Error(input === '' ? 'an id is expected, this is empty' : `"${input}" is not an id`);
}

/** Positional arguments in order. */
export function args<const T extends readonly object[]>(...parameters: T) {
  return { kind: 'tuple', parameters } as const;
}

/**
 * Help text of a command.
 *
 * @param brief one line
 * @param examples complete command lines
 * @param more further explanation
 */
export function docs(brief: string, examples: readonly string[], more = '') {
  const explanation = more === '' ? '' : `${more}\n\n`;
  const shown = examples.map((example) => `  ${example}`).join('\n');
  return { brief, fullDescription: `${brief}\n\n${explanation}EXAMPLES\n${shown}\n\n${globalOptionsHelp}` };
}

/** One of two opposite switches, or undefined when neither was given. */
export function either(yes: boolean, no: boolean, names: string): boolean | undefined {
  if (yes && no) throw new UsageError(`${names} exclude each other.`);
  return yes ? true : no ? false : undefined;
}

/** Parses 0, 1, 2, ... */
export function wholeNumber(input: string): number {
  const value = numberParser(input);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`${input} is not a whole number`);
  return value;
}
