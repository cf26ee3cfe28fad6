import { EXECUTION_STATUSES, TASK_STATUSES } from '@godwit/domain';
import type { Page, SortDirection, SortKey } from '@godwit/store';
import { Type } from 'typebox';
import { badRequest, invalidInput } from './request-error.ts';

/**
 * The query of a list as the contract reads it. Everything arrives as strings and is judged here, not by a schema, because
 * each parameter has its own rule for bad values.
 */
export const ListQuery = Type.Object(
  {
    marker: Type.Optional(Type.Unsafe<string | string[]>({ type: 'string', description: 'Id of the last item seen' })),
    limit: Type.Optional(
      Type.Unsafe<string | string[]>({ type: 'string', description: 'Items at most; 0 gives none' }),
    ),
    sort_key: Type.Optional(
      Type.Unsafe<string | string[]>({
        type: 'array',
        items: { type: 'string' },
        description: 'Any column; repeatable',
      }),
    ),
    sort_dir: Type.Optional(
      Type.Unsafe<string | string[]>({
        type: 'array',
        items: { type: 'string' },
        description: 'asc or desc, one per sort_key',
      }),
    ),
    status: Type.Optional(Type.Unsafe<string | string[]>({ type: 'string', description: 'Of the last execution' })),
    scenario: Type.Optional(
      Type.Unsafe<string | string[]>({ type: 'string', description: 'replica or live_migration; default both' }),
    ),
    show_deleted: Type.Optional(Type.Unsafe<string | string[]>({ type: 'string', description: 'Default false' })),
    include_task_info: Type.Optional(Type.Unsafe<string | string[]>({ type: 'string', description: 'Default false' })),
  },
  { additionalProperties: true },
);

export type RawQuery = Readonly<Record<string, string | string[] | undefined>>;

/** The last of repeated values, as the contract takes it. */
export function single(query: RawQuery, name: string): string | undefined {
  const value = query[name];
  const last = Array.isArray(value) ? value.at(-1) : value;
  if (last?.includes('\0')) throw invalidInput(`${name} holds a zero byte`);
  return last;
}

function many(query: RawQuery, name: string): string[] {
  const value = query[name];
  if (value === undefined) return [];
  return (Array.isArray(value) ? value : [value]).map((item) => item.trim());
}

const TRUE = new Set(['1', 't', 'true', 'on', 'y', 'yes']);
const FALSE = new Set(['0', 'f', 'false', 'off', 'n', 'no']);

/** A boolean parameter; a bad value falls back to the default, as the contract has it. */
export function flag(query: RawQuery, name: string, fallback = false): boolean {
  const word = single(query, name)?.trim().toLowerCase();
  if (word === undefined) return fallback;
  return TRUE.has(word) ? true : FALSE.has(word) ? false : fallback;
}

/** A boolean parameter whose bad values are refused. */
export function strictFlag(query: RawQuery, name: string, fallback: boolean): boolean {
  const word = single(query, name)?.trim().toLowerCase();
  if (word === undefined) return fallback;
  if (!TRUE.has(word) && !FALSE.has(word)) throw invalidInput(`${name} must be true or false, not '${word}'`);
  return TRUE.has(word);
}

/** Marker, limit and order. Largest limit: 2^31 - 1. */
export function pageOf(query: RawQuery): Page {
  const page: Page = { sort: sortOf(many(query, 'sort_key'), many(query, 'sort_dir')) };
  const marker = single(query, 'marker');
  if (marker !== undefined && marker !== '') page.marker = marker;
  const limit = limitOf(query);
  if (limit !== undefined) page.limit = limit;
  return page;
}

export function limitOf(query: RawQuery): number | undefined {
  const text = single(query, 'limit');
  if (text === undefined) return undefined;
  if (!/^\s*[+-]?\d{1,10}\s*$/.test(text)) throw badRequest(`Invalid integer: ${text}`);
  const limit = Number(text);
  if (limit < 0) throw invalidInput(`limit must not be negative: ${limit}`);
  return Math.min(limit, 0x7fff_ffff);
}

function sortOf(keys: string[], directions: string[]): SortKey[] {
  const dirs = directions.length > 0 ? directions : ['desc', 'desc'];
  const names = keys.length > 0 ? keys : ['created_at', 'id'];
  for (const direction of dirs) {
    if (direction !== 'asc' && direction !== 'desc') {
      throw invalidInput(`Unknown sort direction: ${direction}, must be 'desc' or 'asc'.`);
    }
  }
  if (dirs.length > names.length) throw invalidInput('Sort direction array size exceeds sort key array size.');
  const first = dirs[0] as SortDirection;
  const seen = new Set<string>();
  return names
    .map((key, i) => ({ key, direction: (dirs[i] ?? first) as SortDirection }))
    .filter(({ key }) => !seen.has(key) && seen.add(key));
}

const STATUSES: ReadonlySet<string> = new Set([...EXECUTION_STATUSES, ...TASK_STATUSES]);

/** The `status` filter: any execution status, and the task statuses that the original lets pass. */
export function statusOf(query: RawQuery, noun: string): string | undefined {
  const status = single(query, 'status');
  if (status !== undefined && !STATUSES.has(status)) throw badRequest(`Unknown ${noun} status: ${status}`);
  return status;
}
