import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { GodwitError } from '@godwit/domain';
import { describe, expect, it } from 'vitest';
import { localUrl, readConfig, SETTINGS_HELP } from '../src/config.ts';
import { readPolicies } from '../src/keystone/settings.ts';

describe('the settings', () => {
  it('have defaults, and an empty variable counts as unset', () => {
    const expected = {
      home: path.join(homedir(), '.local/share/godwit'),
      listen: { host: '127.0.0.1', port: 7000 },
      auth: 'local',
      trustedProxies: [],
      logLevel: 'info',
      workerNiceness: 10,
    };
    expect(readConfig({})).toEqual(expected);
    expect(readConfig({ GODWIT_HOME: '', GODWIT_LISTEN: '', DATABASE_URL: '', GODWIT_PG_PORT: '' })).toEqual(expected);
  });

  it('are read', () => {
    expect(
      readConfig({
        GODWIT_HOME: '/srv/godwit/',
        GODWIT_LISTEN: '[::1]:80',
        GODWIT_PUBLIC_URL: 'https://godwit.example.org/root/',
        DATABASE_URL: 'postgresql://a:b@db:5432/godwit',
        GODWIT_REGION: 'paris-1',
        GODWIT_PG_PORT: '5433',
        GODWIT_TRUSTED_PROXIES: '127.0.0.1, ::1,10.1.0.0/16',
        GODWIT_LOG: 'debug',
        GODWIT_WORKER_NICENESS: '0',
      }),
    ).toEqual({
      home: '/srv/godwit',
      listen: { host: '::1', port: 80 },
      publicUrl: 'https://godwit.example.org/root',
      databaseUrl: 'postgresql://a:b@db:5432/godwit',
      auth: 'local',
      region: 'paris-1',
      postgresPort: 5433,
      trustedProxies: ['127.0.0.1', '::1', '10.1.0.0/16'],
      logLevel: 'debug',
      workerNiceness: 0,
    });
  });

  it.each([
    ['GODWIT_LISTEN', '7000'],
    ['GODWIT_LISTEN', 'host:'],
    ['GODWIT_LISTEN', 'host:0'],
    ['GODWIT_LISTEN', '::1:7000'],
    ['GODWIT_LISTEN', 'host:65536'],
    ['GODWIT_PUBLIC_URL', 'godwit.example.org'],
    ['GODWIT_PUBLIC_URL', 'ftp://godwit.example.org'],
    ['DATABASE_URL', 'mysql://user:hunter2@db/godwit'],
    ['DATABASE_URL', 'postgres://user:hunter2@db'],
    ['GODWIT_AUTH', 'none'],
    ['GODWIT_LOG', 'loud'],
    ['GODWIT_PG_PORT', '5432x'],
    ['GODWIT_REGION', 'a b'],
    ['GODWIT_WORKER_NICENESS', '20'],
    ['GODWIT_WORKER_NICENESS', '-5'],
    ['GODWIT_TRUSTED_PROXIES', 'proxy.example.org'],
    ['GODWIT_TRUSTED_PROXIES', '10.1.0.0/33'],
    ['GODWIT_TRUSTED_PROXIES', '10.1.0.1/16/8'],
  ])('are refused by name when they are wrong, without a password in the message: %s=%s', (name, value) => {
    let refusal: unknown;
    try {
      readConfig({ [name]: value });
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toBeInstanceOf(GodwitError);
    expect(refusal).toMatchObject({ code: 'CONFIG_INVALID', object: name });
    expect((refusal as GodwitError).explain()).not.toContain('hunter2');
    expect(SETTINGS_HELP).toContain(name);
  });

  it('give a URL that a client on this machine can use', () => {
    expect(localUrl({ host: '0.0.0.0', port: 7000 })).toBe('http://127.0.0.1:7000');
    expect(localUrl({ host: '::1', port: 7000 })).toBe('http://[::1]:7000');
  });
});

describe('files in the home', () => {
  it('that are no YAML are refused with the place, without what stands there', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'gwy-'));
    try {
      const file = path.join(folder, 'policy.yaml');
      writeFileSync(file, '"migration:regions:create": "role:admin"\n"migration:regions:update": [hunter2\n');
      let refusal: unknown;
      try {
        readPolicies(file);
      } catch (error) {
        refusal = error;
      }
      expect(refusal).toMatchObject({ code: 'CONFIG_INVALID', object: file });
      expect((refusal as GodwitError).message).toMatch(/no YAML: look at line [23], column \d+/);
      expect((refusal as GodwitError).explain()).not.toContain('hunter2');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
