import stringWidth from 'string-width';
import { describe, expect, test } from 'vitest';
import { drawTable } from '../src/table.ts';

describe('the table', () => {
  test('shows control characters that a name brings, and obeys none', () => {
    const lines = drawTable(['Name'], [['web\x1b[2J\u009b1A\rroot']]);
    expect(lines[3]).toBe('| web\\x1b[2J\\x9b1A\\x0droot |');
    expect(new Set(lines.map((line) => stringWidth(line))).size).toBe(1);
  });

  test('is drawn as the openstack command draws it', () => {
    expect(
      drawTable(
        ['ID', 'Name', 'Size'],
        [
          ['a1', 'web01', 5],
          ['a2', 'db', 1024],
        ],
      ),
    ).toEqual([
      '+----+-------+------+',
      '| ID | Name  | Size |',
      '+----+-------+------+',
      '| a1 | web01 |    5 |',
      '| a2 | db    | 1024 |',
      '+----+-------+------+',
    ]);
  });

  test('spreads several lines of a cell over several lines of the row', () => {
    expect(drawTable(['Field', 'Value'], [['instances', 'db\nweb']])).toEqual([
      '+-----------+-------+',
      '| Field     | Value |',
      '+-----------+-------+',
      '| instances | db    |',
      '|           | web   |',
      '+-----------+-------+',
    ]);
  });

  test('counts wide characters as two columns', () => {
    const lines = drawTable(['Name'], [['東京'], ['ab']]);
    expect(new Set(lines.map((line) => stringWidth(line)))).toEqual(new Set([8]));
  });

  test('wraps the widest columns when there is not enough room, and no line is wider than allowed', () => {
    const lines = drawTable(['ID', 'Notes'], [['a1', 'a rather long note about the second wave of the move']], {
      maxWidth: 30,
    });
    expect(Math.max(...lines.map((line) => stringWidth(line)))).toBeLessThanOrEqual(30);
    expect(lines[3]).toContain('a1');
    expect(lines.join('\n').replace(/[\s|]+/g, ' ')).toContain('a rather long note about the second wave of the move');
  });

  test('breaks a word that is longer than its column, losing nothing', () => {
    const id = '6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11';
    const lines = drawTable(['ID'], [[id]], { maxWidth: 20 });
    const body = lines.slice(3, -1).map((line) => line.replace(/[| ]/g, ''));
    expect(body.join('')).toBe(id);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(20);
  });

  test('stays readable when the room asked for is absurdly small', () => {
    const lines = drawTable(['Name', 'Type'], [['a-long-enough-name', 'libvirt']], { maxWidth: 5 });
    expect(lines[1]).toContain('Name');
  });
});
