import { GodwitError } from '@godwit/domain';
import { describe, expect, test } from 'vitest';
import { answerError, messageIn } from '../src/client/answer-error.ts';
import { authBody, type Catalog, identityUrl, lookUp } from '../src/client/identity.ts';
import { compareVersions, negotiate, rangeIn } from '../src/client/microversion.ts';
import { RETRIES, waitBefore } from '../src/client/retry.ts';

describe('repeating requests', () => {
  const at = Date.parse('2026-01-01T00:00:00Z');
  const end = (status: number | null, retryAfter: string | null = null) => ({ status, retryAfter });

  test.each([429, 500, 502, 503, 504])('%i is waited out, longer each time', (status) => {
    const waits = [1, 2, 3, 4].map((attempt) => waitBefore(attempt, end(status), true, 1, at));
    expect(waits).toEqual([500, 1000, 2000, 4000]);
  });

  test('a lost connection is repeated only where that does no harm', () => {
    expect(waitBefore(1, end(null), true, 0, at)).toBe(250);
    expect(waitBefore(1, end(null), false, 0, at)).toBeNull();
    expect(waitBefore(1, end(502), false, 0, at)).toBeNull();
    expect(waitBefore(1, end(503), false, 0, at)).toBe(250);
  });

  test('answers that stay are not repeated, nor the last try', () => {
    for (const status of [200, 201, 400, 401, 404, 409]) expect(waitBefore(1, end(status), true, 0, at)).toBeNull();
    expect(waitBefore(RETRIES.tries, end(503), true, 0, at)).toBeNull();
  });

  test('Retry-After is heeded, in seconds or as a date, up to a bound', () => {
    expect(waitBefore(1, end(429, '7'), true, 0, at)).toBe(7000);
    expect(waitBefore(1, end(429, 'Thu, 01 Jan 2026 00:00:03 GMT'), true, 0, at)).toBe(3000);
    expect(waitBefore(1, end(429, '86400'), true, 0, at)).toBe(RETRIES.maxMs);
    expect(waitBefore(1, end(429, 'soon'), true, 1, at)).toBe(500);
  });
});

describe('microversions', () => {
  test('are compared as numbers, not as text', () => {
    expect(compareVersions('2.9', '2.79')).toBeLessThan(0);
    expect(compareVersions('3.0', '2.99')).toBeGreaterThan(0);
    expect(compareVersions('2.1', '2.1')).toBe(0);
  });

  test('the wanted one is taken, else the newest that will do', () => {
    expect(negotiate({ min: '2.1', max: '2.93' }, '2.79', '2.47')).toBe('2.79');
    expect(negotiate({ min: '2.1', max: '2.60' }, '2.79', '2.47')).toBe('2.60');
    expect(negotiate({ min: '2.1', max: '2.38' }, '2.79', '2.47')).toBeNull();
    expect(negotiate({ min: '2.90', max: '2.99' }, '2.79', '2.47')).toBeNull();
  });

  test('are read off the documents that Nova and Cinder answer', () => {
    const nova = { version: { id: 'v2.1', status: 'CURRENT', version: '2.93', min_version: '2.1' } };
    expect(rangeIn(nova, '2.1')).toEqual({ min: '2.1', max: '2.93' });
    const cinder = { versions: [{ id: 'v3.0', version: '3.70', min_version: '3.0' }] };
    expect(rangeIn(cinder, '3')).toEqual({ min: '3.0', max: '3.70' });
    expect(rangeIn({ versions: [{ id: 'v2.0', version: '', min_version: '' }] }, '2')).toBeNull();
    expect(rangeIn('no document', '2')).toBeNull();
  });
});

describe('refusals', () => {
  const refused = (status: number, body: object) =>
    answerError('volume a of endpoint lab', { status, body: JSON.stringify(body), requestId: 'req-1' });

  test.each([
    [
      'Nova',
      403,
      { forbidden: { code: 403, message: 'Quota exceeded for instances: Requested 1, but already used 10' } },
    ],
    [
      'Cinder',
      413,
      { overLimit: { code: 413, message: 'VolumeLimitExceeded: Maximum number of volumes allowed (2)' } },
    ],
    [
      'Neutron',
      409,
      { NeutronError: { type: 'OverQuota', message: "Quota exceeded for resources: ['port'].", detail: '' } },
    ],
  ])('a quota of %s is QUOTA_EXCEEDED', (_, status, body) => {
    expect(refused(status, body).code).toBe('QUOTA_EXCEEDED');
  });

  test.each([
    [401, 'AUTHENTICATION_FAILED'],
    [403, 'FORBIDDEN'],
    [404, 'NOT_FOUND'],
    [409, 'CONFLICT'],
    [429, 'BUSY'],
    [503, 'BUSY'],
    [400, 'PLATFORM_ERROR'],
    [500, 'PLATFORM_ERROR'],
  ])('%i is %s, with the message and the request id', (status, code) => {
    const error = refused(status, { badRequest: { message: 'It is so.' } });
    expect(error).toBeInstanceOf(GodwitError);
    expect(error.code).toBe(code);
    expect(error.details).toMatchObject({ reason: 'It is so (request req-1)', request_id: 'req-1' });
  });

  test('the message is found in whatever a service or a proxy answers', () => {
    expect(messageIn('{"NeutronError": {"type": "X", "message": "in use", "detail": ""}}')).toBe('in use');
    expect(messageIn('{"error": {"code": 401, "title": "Unauthorized", "message": "no"}}')).toBe('no');
    expect(messageIn('<html><head><title>502</title></head><body><h1>Bad</h1>gateway is down</body></html>')).toBe(
      'gateway is down',
    );
    expect(messageIn('')).toBeNull();
  });
});

describe('signing in', () => {
  test.each([
    ['http://k:5000', 'http://k:5000/v3'],
    ['http://k:5000/v3/', 'http://k:5000/v3'],
    ['https://k/identity', 'https://k/identity/v3'],
    ['https://k/v2.0', 'https://k/v3'],
  ])('%s leads to %s', (given, expected) => {
    expect(identityUrl(given)).toBe(expected);
  });

  test('an application credential needs no scope; a password has one', () => {
    expect(authBody({ kind: 'application_credential', id: 'a', secret: 's' })).toEqual({
      auth: {
        identity: { methods: ['application_credential'], application_credential: { id: 'a', secret: 's' } },
      },
    });
    const user = { name: 'u', domain: { name: 'Default' } };
    const project = { id: 'p' };
    expect(authBody({ kind: 'password', user, password: 'w', project })).toEqual({
      auth: {
        identity: { methods: ['password'], password: { user: { ...user, password: 'w' } } },
        scope: { project },
      },
    });
  });

  const endpoint = (region: string, url: string, kind = 'public') => ({ interface: kind, region_id: region, url });
  const catalog: Catalog = [
    { type: 'compute', endpoints: [endpoint('one', 'http://n1/'), endpoint('two', 'http://n2')] },
    { type: 'volumev3', endpoints: [endpoint('one', 'http://c/v3/p'), endpoint('one', 'http://i/v3/p', 'internal')] },
  ];

  test('the service is found by any of its names, by region and interface', () => {
    expect(lookUp(catalog, 'volume', { region: null, interface: 'public' })).toEqual({
      found: true,
      url: 'http://c/v3/p',
    });
    expect(lookUp(catalog, 'volume', { region: null, interface: 'internal' })).toEqual({
      found: true,
      url: 'http://i/v3/p',
    });
    expect(lookUp(catalog, 'compute', { region: 'two', interface: 'public' })).toEqual({
      found: true,
      url: 'http://n2',
    });
  });

  test.each([
    ['compute', null, 'regions one, two'],
    ['compute', 'three', 'region three; it has one, two'],
    ['image', null, 'no service of type image'],
  ] as const)('what is missing is said (%s in %s)', (service, region, expected) => {
    const lookup = lookUp(catalog, service, { region, interface: 'public' });
    expect(lookup.found ? '' : lookup.reason).toContain(expected);
  });
});
