/** A value as the API gave it. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** A cell: its value for programs and, where that reads badly, its text for people. */
export interface Cell {
  /** For json, yaml, csv and value. */
  value: Json;
  /** For the table. */
  text: string;
}

/** Cells by column name, in the order of the columns. */
export type Row = Record<string, Json | Cell>;

const cells = new WeakSet<object>();

/** A cell whose text for people differs from its value. */
export function cell(value: Json, text: string): Cell {
  const made = { value, text };
  cells.add(made);
  return made;
}

/** The value for programs. */
export function dataOf(content: Json | Cell | undefined): Json {
  return isCell(content) ? content.value : (content ?? null);
}

/** The text for people; numbers stay numbers, so that the table sets them to the right. */
export function textOf(content: Json | Cell | undefined): string | number {
  if (isCell(content)) return content.text;
  return plain(content ?? null);
}

/** As the openstack command writes it: `None`, `True`, `False`; lists and objects as JSON. */
export function plain(value: Json): string | number {
  if (value === null) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (typeof value === 'object') return JSON.stringify(value);
  return value;
}

/** Marks made by {@link cell} are told from objects of the API by identity, not by their keys. */
function isCell(content: Json | Cell | undefined): content is Cell {
  return typeof content === 'object' && content !== null && cells.has(content);
}
