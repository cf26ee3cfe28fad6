import { GodwitError } from '@godwit/domain';
import { type RawBuilder, type SqlBool, sql } from 'kysely';
import type { Db } from './database.ts';
import type { Scope } from './transfers.ts';

export type SortDirection = 'asc' | 'desc';
export interface SortKey {
  key: string;
  direction: SortDirection;
}

/** A page of a list, in the terms of the wire contract. */
export interface Page {
  /** Id of the last item already seen. One that is not of this list is ignored: the first page is answered. */
  marker?: string;
  /** Items at most; 0 gives none; absent gives all. */
  limit?: number;
  /** Before the closing `created_at`, `id`, which follow the first given direction. Default: newest first. */
  sort?: SortKey[];
}

/** How a column sorts: as it is, or with a value in place of null (null sorts lowest, as on the original's database). */
export type SortColumns = Readonly<Record<string, 'plain' | 'text' | 'time' | 'number'>>;

/**
 * Whose rows a list is of: a column and its value, or undefined for all rows. A marker counts only when it is one of them: the
 * place of a stranger's row would tell what it holds.
 */
export type Within = { column: 'project_id' | 'action_id'; value: string } | undefined;

export const ofProject = (scope: Scope): Within =>
  scope === undefined ? undefined : { column: 'project_id', value: scope };

interface Order {
  expression: RawBuilder<unknown>;
  direction: SortDirection;
}

/**
 * The SQL of a page: a condition that passes over everything up to the marker, and the order.
 * Keyset paging: a page costs the same however deep it lies, and items that come or go meanwhile shift nothing.
 *
 * @param table name of the table or its alias
 * @param columns sortable columns; the keys `created_at` and `id` are always there
 * @param within of which rows the marker must be
 * @throws GodwitError INVALID_INPUT for an unknown sort key
 */
export function pageSql(
  table: string,
  columns: SortColumns,
  page: Page,
  within: Within,
): { after: RawBuilder<SqlBool> | undefined; order: RawBuilder<unknown> } {
  const orders = ordersOf(table, columns, page.sort ?? []);
  const order = sql.join(orders.map((o) => sql`${o.expression} ${sql.raw(o.direction)}`));
  if (page.marker === undefined) return { after: undefined, order };
  return { after: afterMarker(table, columns, page.sort ?? [], markedRow(table, page.marker, within)), order };
}

function ordersOf(table: string, columns: SortColumns, sort: SortKey[]): Order[] {
  const closing = sort[0]?.direction ?? 'desc';
  const keys = [...sort];
  for (const key of ['created_at', 'id']) {
    if (!keys.some((given) => given.key === key)) keys.push({ key, direction: closing });
  }
  return keys.map(({ key, direction }) => ({ expression: sortExpression(table, columns, key), direction }));
}

function sortExpression(table: string, columns: SortColumns, key: string): RawBuilder<unknown> {
  const kind = key === 'created_at' || key === 'id' ? 'plain' : Object.hasOwn(columns, key) ? columns[key] : undefined;
  const column = sql.ref(`${table}.${key}`);
  switch (kind) {
    case 'plain':
      return column;
    case 'text':
      return sql`coalesce(${column}, '')`;
    case 'time':
      return sql`coalesce(${column}, '-infinity')`;
    case 'number':
      return sql`coalesce(${column}, 0)`;
    default:
      throw new GodwitError('INVALID_INPUT', 'sort_key', { reason: `Sort key supplied is invalid: ${key}` });
  }
}

/** The row of a marker, as the rest of a query. */
function markedRow(table: string, marker: string, within: Within): RawBuilder<unknown> {
  const row = sql`from ${sql.table(table)} as marked where marked.id = ${marker}`;
  return within === undefined ? row : sql`${row} and ${sql.ref(`marked.${within.column}`)} = ${within.value}`;
}

function afterMarker(
  table: string,
  columns: SortColumns,
  sort: SortKey[],
  from: RawBuilder<unknown>,
): RawBuilder<SqlBool> {
  const here = ordersOf(table, columns, sort);
  const there = ordersOf('marked', columns, sort);
  const value = (i: number) => sql`(select ${there[i]!.expression} ${from})`;
  const sign = (direction: SortDirection) => sql.raw(direction === 'asc' ? '>' : '<');
  const first = here[0]!.direction;
  if (here.every((order) => order.direction === first)) {
    // One direction: a row comparison, which an index scan can begin at.
    const left = sql.join(here.map((o) => o.expression));
    return sql<SqlBool>`(${left}) ${sign(first)} (${sql.join(here.map((_, i) => value(i)))})`;
  }
  const branches = here.map((last, depth) => {
    const equal = here.slice(0, depth).map((o, i) => sql<SqlBool>`${o.expression} = ${value(i)}`);
    const beyond = sql<SqlBool>`${last.expression} ${sign(last.direction)} ${value(depth)}`;
    return sql<SqlBool>`(${sql.join([...equal, beyond], sql` and `)})`;
  });
  return sql<SqlBool>`(${sql.join(branches, sql` or `)})`;
}

/** Limits that clients ask for as a rule. */
const USUAL_LIMITS: ReadonlySet<number> = new Set([10, 20, 25, 50, 100, 200, 500, 1_000]);

/**
 * A limit in a query. The usual ones are part of its text: as a parameter, the plan for any limit looks so much dearer than
 * one for a small limit that the server plans the statement anew each time, which takes longer than to run it. The others
 * are parameters, so that clients cannot make statements without end.
 */
export function limitSql(limit: number): RawBuilder<number> {
  return USUAL_LIMITS.has(limit) ? sql.lit(limit) : sql<number>`${limit}`;
}

/**
 * Runs a page's query. `query` gets the condition of the marker, or none; it is asked a second time, without, when the
 * marker turns out to name nothing.
 */
export async function readPage<Row>(
  db: Db,
  table: 'transfer' | 'deployment' | 'execution' | 'ledger' | 'receipt' | 'resource',
  columns: SortColumns,
  page: Page,
  within: Within,
  query: (after: RawBuilder<SqlBool>, order: RawBuilder<unknown>) => Promise<Row[]>,
): Promise<Row[]> {
  if (page.limit === 0) return [];
  const all = sql<SqlBool>`true`;
  const { after, order } = pageSql(table, columns, page, within);
  if (after === undefined || page.marker === undefined) return query(all, order);
  const rows = await query(after, order);
  if (rows.length > 0) return rows;
  const marked = await sql`select 1 ${markedRow(table, page.marker, within)}`.execute(db);
  return marked.rows.length > 0 ? [] : query(all, order);
}
