import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { type ConfigSources, resolveCloudConfig } from '../src/cloud-config.ts';
import { takeGlobalOptions } from '../src/global-options.ts';
import { parseOpenrc } from '../src/openrc.ts';
import { UsageError } from '../src/usage-error.ts';

const openrc = `# written by the server
export OS_AUTH_URL=http://127.0.0.1:7000/identity/v3
export OS_USERNAME="admin"
export OS_PASSWORD='lo"cal$'
export OS_PROJECT_NAME=admin
`;

const clouds = `clouds:
  lab:
    auth:
      auth_url: https://lab/v3
      username: operator
      password: in-clouds
      project_name: ops
    region_name: RegionOne
  other:
    auth: {auth_url: https://other/v3}
`;

const files = (entries: Record<string, string>, env: Record<string, string> = {}): ConfigSources => ({
  env,
  cwd: '/cwd',
  home: '/home/me',
  readText: (path) => entries[path],
  parseYaml: (text) => parse(text),
});

const resolve = (args: string[], sources: ConfigSources) =>
  resolveCloudConfig(takeGlobalOptions(args).globals, sources);

const home = '/home/me/.local/share/godwit';

describe('signing in', () => {
  test('uses what the server wrote when nothing else is said', () => {
    const config = resolve([], files({ [`${home}/openrc`]: openrc }));
    expect(config).toMatchObject({
      authUrl: 'http://127.0.0.1:7000/identity/v3',
      username: 'admin',
      password: 'lo"cal$',
      projectName: 'admin',
    });
  });

  test('reads openrc from GODWIT_HOME', () => {
    const config = resolve([], files({ '/srv/godwit/openrc': openrc }, { GODWIT_HOME: '/srv/godwit' }));
    expect(config.username).toBe('admin');
  });

  test('takes options before variables before clouds.yaml before openrc', () => {
    const everything = files(
      { '/cwd/clouds.yaml': clouds, [`${home}/openrc`]: openrc },
      { OS_CLOUD: 'lab', OS_USERNAME: 'from-env', OS_PROJECT_NAME: 'env-project' },
    );
    const config = resolve(['--os-project-name', 'flag-project'], everything);
    expect(config).toMatchObject({
      authUrl: 'https://lab/v3',
      username: 'from-env',
      projectName: 'flag-project',
      password: 'in-clouds',
      regionName: 'RegionOne',
    });
  });

  test('lays secure.yaml over clouds.yaml', () => {
    const config = resolve(
      ['--os-cloud', 'lab'],
      files({
        '/home/me/.config/openstack/clouds.yaml': clouds,
        '/etc/openstack/secure.yaml': 'clouds: {lab: {auth: {password: hidden}}}',
      }),
    );
    expect(config).toMatchObject({ username: 'operator', password: 'hidden' });
  });

  test('finds clouds.yaml in the three folders, the nearest first', () => {
    const far = 'clouds: {lab: {auth: {auth_url: https://far/v3}}}';
    expect(resolve(['--os-cloud=lab'], files({ '/etc/openstack/clouds.yaml': far })).authUrl).toBe('https://far/v3');
    expect(
      resolve(['--os-cloud=lab'], files({ '/cwd/clouds.yaml': clouds, '/etc/openstack/clouds.yaml': far })).authUrl,
    ).toBe('https://lab/v3');
  });

  test('never sends the password of openrc to another place', () => {
    const config = resolve(['--os-auth-url', 'https://elsewhere/v3'], files({ [`${home}/openrc`]: openrc }));
    expect(config).toMatchObject({ authUrl: 'https://elsewhere/v3', password: undefined, username: undefined });
  });

  test('never sends the password of a cloud to another place', () => {
    const config = resolve(
      ['--os-cloud', 'lab'],
      files({ '/cwd/clouds.yaml': clouds }, { OS_AUTH_URL: 'https://elsewhere/v3' }),
    );
    expect(config).toMatchObject({ authUrl: 'https://elsewhere/v3', password: undefined });
  });

  test('refuses a cloud that does not exist and suggests one that does', () => {
    const sources = files({ '/cwd/clouds.yaml': clouds });
    expect(() => resolve(['--os-cloud', 'lba'], sources)).toThrow('Did you mean "lab"?');
    expect(() => resolve(['--os-cloud', 'lab'], files({}))).toThrow('there is no clouds.yaml');
  });

  test('accepts the old names of a project', () => {
    const config = resolve([], files({}, { OS_AUTH_URL: 'https://x/v3', OS_TENANT_NAME: 'old' }));
    expect(config.projectName).toBe('old');
  });
});

describe('global options', () => {
  test('may stand anywhere on the line', () => {
    const { globals, rest } = takeGlobalOptions(['endpoint', '--os-cloud', 'lab', 'list', '--debug', '-f', 'json']);
    expect(rest).toEqual(['endpoint', 'list', '-f', 'json']);
    expect(globals.os.get('os-cloud')).toBe('lab');
    expect(globals.debug).toBe(true);
  });

  test('leave the options of commands alone that only look like them', () => {
    const line = ['transfer', 'create', '--os-morphing'];
    expect(takeGlobalOptions(line).rest).toEqual(line);
    const resource = ['resource', 'list', '--endpoint', 'lab'];
    expect(takeGlobalOptions(resource).rest).toEqual(resource);
  });

  test('refuse a secret and name the variable instead', () => {
    for (const option of ['--os-password', '--os-token', '--os-auth-token']) {
      expect(() => takeGlobalOptions([option, 'x', 'endpoint', 'list'])).toThrow(UsageError);
    }
    expect(() => takeGlobalOptions(['--os-password=x'])).toThrow('OS_PASSWORD');
  });

  test('suggest what was probably meant', () => {
    expect(() => takeGlobalOptions(['--os-clod', 'lab'])).toThrow('Did you mean "--os-cloud"?');
    expect(() => takeGlobalOptions(['--os-cloud'])).toThrow('needs a value');
  });
});

describe('an openrc file', () => {
  test('is read as a shell would, without running anything', () => {
    expect(
      parseOpenrc(
        [
          'export A=plain # comment',
          'B="double \\"quoted\\" $NOT"',
          "C='single $(rm -rf /)'",
          'export D=two"part"s',
          'E=back\\ slash',
          '# F=no',
          'unset G',
        ].join('\n'),
      ),
    ).toEqual({ A: 'plain', B: 'double "quoted" $NOT', C: 'single $(rm -rf /)', D: 'twoparts', E: 'back slash' });
  });
});
