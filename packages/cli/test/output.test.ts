import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { cell, type Row } from '../src/cell.ts';
import { type OutputOptions, renderList, renderObject } from '../src/output.ts';
import { UsageError } from '../src/usage-error.ts';

const columns = ['ID', 'Name', 'Cores', 'Enabled', 'Regions'];
const rows: Row[] = [
  { ID: 'b', Name: 'say "hi"', Cores: 10, Enabled: true, Regions: ['r1'] },
  { ID: 'a', Name: null, Cores: 9, Enabled: false, Regions: [] },
];
const as = (format: OutputOptions['format'], more: Partial<OutputOptions> = {}): OutputOptions => ({ format, ...more });

describe('a list', () => {
  test('as JSON keeps types and column names', async () => {
    expect(JSON.parse(await renderList(columns, rows, as('json')))).toEqual([
      { ID: 'b', Name: 'say "hi"', Cores: 10, Enabled: true, Regions: ['r1'] },
      { ID: 'a', Name: null, Cores: 9, Enabled: false, Regions: [] },
    ]);
  });

  test('as JSON without indentation is one line', async () => {
    const text = await renderList(columns, rows, as('json', { noindent: true }));
    expect(text.trimEnd().split('\n')).toHaveLength(1);
  });

  test('as YAML says the same as JSON', async () => {
    const yaml = await renderList(columns, rows, as('yaml'));
    expect(parse(yaml)).toEqual(JSON.parse(await renderList(columns, rows, as('json'))));
  });

  test('as CSV quotes text, not numbers, and leaves nothing empty of quotes', async () => {
    expect(await renderList(columns, rows, as('csv'))).toBe(
      '"ID","Name","Cores","Enabled","Regions"\n"b","say ""hi""",10,"True","[""r1""]"\n"a","",9,"False","[]"\n',
    );
  });

  test('as values is words without a header', async () => {
    expect(await renderList(columns, rows, as('value', { column: ['ID', 'Cores'] }))).toBe('b 10\na 9\n');
  });

  test('as a table writes None, True and False as the openstack command does', async () => {
    const text = await renderList(columns, rows, as('table'));
    expect(text).toContain('| None     |     9 | False');
  });

  test('that is empty is an empty line as a table and an empty list for programs', async () => {
    expect(await renderList(columns, [], as('table'))).toBe('\n');
    expect(await renderList(columns, [], as('json'))).toBe('[]\n');
    expect(await renderList(columns, [], as('value'))).toBe('');
  });

  test('shows the chosen columns in the order of the table, as the openstack command does, whatever their case', async () => {
    expect(await renderList(columns, rows, as('value', { column: ['cores', 'id'] }))).toBe('b 10\na 9\n');
    expect(await renderList(columns, rows, as('csv', { column: ['Cores', 'ID', 'cores'] }))).toMatch(/^"ID","Cores"\n/);
  });

  test('sorts numbers by value, text by letters and nothing last', async () => {
    const sorted = (by: string[], down = false) =>
      renderList(columns, rows, as('value', { column: ['ID'], sortColumn: by, sortDescending: down }));
    expect(await sorted(['Cores'])).toBe('a\nb\n');
    expect(await sorted(['Cores'], true)).toBe('b\na\n');
    expect(await sorted(['Name'])).toBe('b\na\n');
  });

  test('refuses a column that does not exist and says which was probably meant', async () => {
    await expect(renderList(columns, rows, as('table', { column: ['Nmae'] }))).rejects.toThrow(UsageError);
    await expect(renderList(columns, [], as('json', { column: ['Nmae'] }))).rejects.toThrow('Did you mean "Name"?');
  });
});

describe('one object', () => {
  const row: Row = { id: 'x', tasks: cell([{ id: 't1' }], 'id: t1\nstatus: RUNNING'), notes: null };

  test('is a table of fields and values', async () => {
    expect((await renderObject(row, as('table'))).split('\n').slice(0, 6)).toEqual([
      '+-------+-----------------+',
      '| Field | Value           |',
      '+-------+-----------------+',
      '| id    | x               |',
      '| tasks | id: t1          |',
      '|       | status: RUNNING |',
    ]);
  });

  test('gives programs data where people get prose', async () => {
    expect(JSON.parse(await renderObject(row, as('json')))).toEqual({ id: 'x', tasks: [{ id: 't1' }], notes: null });
  });

  test('gives one bare value for scripts', async () => {
    expect(await renderObject(row, as('value', { column: ['id'] }))).toBe('x\n');
  });

  test('that looks like a cell is printed as the data it is', async () => {
    const tricky: Row = { info: { value: 1, text: 'not a cell' } };
    expect(JSON.parse(await renderObject(tricky, as('json')))).toEqual({ info: { value: 1, text: 'not a cell' } });
  });
});
