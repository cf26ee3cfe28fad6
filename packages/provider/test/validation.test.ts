import { GodwitError } from '@godwit/domain';
import { Type } from 'typebox';
import { describe, expect, test } from 'vitest';
import { checkInput, choice, secretFields, splitSecrets, violations } from '../src/index.ts';

const schema = Type.Object(
  {
    host: Type.String({ minLength: 1 }),
    port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_535, default: 22 })),
    password: Type.Optional(Type.String({ writeOnly: true })),
    key: Type.Optional(Type.String({ writeOnly: true })),
    mode: Type.Optional(choice(['a', 'b'], { title: 'Mode', description: 'One of two', default: 'a' })),
  },
  { additionalProperties: false },
);

describe('an input check', () => {
  test('fills in defaults and leaves its argument alone', () => {
    const input = { host: 'h' };
    expect(checkInput(schema, input, 'connection_info')).toEqual({ host: 'h', port: 22, mode: 'a' });
    expect(input).toEqual({ host: 'h' });
  });

  test('lists every violation at once', () => {
    const wrong = { host: '', port: 0, mode: 'c', extra: 1, more: 2 };
    expect(
      violations(schema, wrong)
        .map(({ path }) => path)
        .sort(),
    ).toEqual(['', '/host', '/mode', '/port']);
    expect(() => checkInput(schema, wrong, 'connection_info')).toThrow(
      /unknown fields extra, more; known: host, port, password, key, mode\b.*\/host.*\/port.*\/mode must be one of a, b/,
    );
  });

  test('lists more violations than its library does by itself', () => {
    const wide = Type.Object(Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`f${n}`, Type.Integer()])));
    const wrong = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`f${n}`, 'x']));
    expect(violations(wide, wrong)).toHaveLength(20);
  });

  test('never repeats a value, which may be secret', () => {
    const refusal = (() => {
      try {
        checkInput(schema, { host: 'h', password: ['hunter2'] }, 'connection_info');
      } catch (error) {
        return error;
      }
      return null;
    })();
    expect(refusal).toBeInstanceOf(GodwitError);
    expect(JSON.stringify(refusal instanceof GodwitError && refusal.toData())).not.toContain('hunter2');
    expect(refusal).toMatchObject({ code: 'INVALID_INPUT', message: expect.stringContaining('/password') });
  });
});

describe('the secret fields of a connection', () => {
  test('are those its schema marks writeOnly', () => {
    expect(secretFields(schema)).toEqual(['password', 'key']);
    expect(secretFields(Type.String())).toEqual([]);
  });

  test('are split from what may be shown', () => {
    expect(splitSecrets(schema, { host: 'h', password: 'p', port: 1 })).toEqual({
      open: { host: 'h', port: 1 },
      secret: { password: 'p' },
    });
  });
});
