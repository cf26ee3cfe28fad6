import net from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ServedApi } from './served-api.ts';

let api: ServedApi;
beforeAll(async () => {
  api = await ServedApi.start({ config: { bodyLimit: 20_000 } });
});
afterAll(() => api[Symbol.asyncDispose]());

const REQUEST_ID = /^req-[0-9a-f-]{36}$/;

describe('every answer', () => {
  test('of a route carries both request ids, and they are the same', async () => {
    const answers = [await api.member.get('/transfers'), await api.member.get('/transfers/nope')];
    for (const { headers } of answers) {
      expect(headers['x-compute-request-id']).toMatch(REQUEST_ID);
      expect(headers['x-openstack-request-id']).toBe(headers['x-compute-request-id']);
    }
    expect(answers[0]!.headers['x-compute-request-id']).not.toBe(answers[1]!.headers['x-compute-request-id']);
  });

  test('without a valid token is the token middleware’s, before anything else is looked at', async () => {
    for (const url of ['/v1/transfers', '/v1/nothing/at/all', '/v1', '/%76%31/providers', '/v1/a%2Fb']) {
      for (const token of [undefined, 'wrong', '']) {
        const answer = await api.app.inject({ url, headers: token === undefined ? {} : { 'x-auth-token': token } });
        expect(answer.statusCode).toBe(401);
        expect(answer.json()).toEqual({
          error: {
            code: 401,
            title: 'Unauthorized',
            message: 'The request you have made requires authentication.',
          },
        });
        expect(answer.headers['www-authenticate']).toMatch(/^Keystone uri="http.*\/identity\/v3"$/);
        expect(answer.headers).not.toHaveProperty('x-compute-request-id');
        expect(answer.headers['x-openstack-request-id']).toMatch(REQUEST_ID);
      }
    }
  });

  test('to an unrouted path or method is 404 in the shape of the router', async () => {
    const { projectId } = api.member;
    const requests = [
      ['GET', '/v1/nothing'],
      ['GET', `/v1/${projectId}/nothing`],
      ['GET', '/v1/transfers/'],
      ['PUT', '/v1/transfers'],
      ['DELETE', '/v1/transfers'],
    ] as const;
    for (const [method, path] of requests) {
      const answer = await api.member.request(method, path);
      expect(answer.statusCode).toBe(404);
      expect(answer.json()).toEqual({
        message: 'The resource could not be found.<br /><br />\n\n\n',
        code: '404 Not Found',
        title: 'Not Found',
      });
      expect(answer.headers).not.toHaveProperty('x-compute-request-id');
    }
    const page = await api.member.get('/nothing', { accept: 'text/html' });
    expect(page.headers['content-type']).toMatch(/^text\/html/);
    expect(page.body).toContain('404 Not Found');
  });

  test('is found where the web console of the contract looks for its services', async () => {
    const { projectId, token } = api.member;
    const get = (url: string) => api.app.inject({ url, headers: { 'x-auth-token': token, 'x-subject-token': token } });
    expect((await get(`/coriolis/${projectId}/transfers?limit=1`)).json()).toEqual({ transfers: [] });
    expect((await get('/coriolis/regions')).statusCode).toBe(200);
    expect((await get('/identity/auth/projects')).json().projects).toHaveLength(1);
    expect((await get('/identity/auth/tokens')).json().token.project.id).toBe(projectId);
    // Under no other name, and with no less to show.
    expect((await get('/coriolisx/regions')).statusCode).toBe(404);
    expect((await api.app.inject(`/coriolis/${projectId}/transfers`)).statusCode).toBe(401);
    expect((await api.app.inject('/coriolis')).statusCode).toBe(401);
  });

  test('that refuses names its code, object and remedy in a header', async () => {
    const answer = await api.member.get('/transfers/ü');
    expect(JSON.parse(String(answer.headers['x-godwit-error']))).toEqual({
      code: 'NOT_FOUND',
      object: "Transfer with ID 'ü'",
      remedy: 'List the objects and check the id or name.',
    });
    expect(Object.keys(answer.json())).toEqual(['error']);
    expect(Object.keys(answer.json().error)).toEqual(['fault', 'code', 'message']);
  });
});

describe('a body', () => {
  const post = (payload: string, type: string | undefined, path = '/v1/endpoints') =>
    api.member.request('POST', path, payload, type === undefined ? {} : { 'content-type': type });

  test('of malformed JSON is refused', async () => {
    for (const text of ['{', '{"endpoint": }', '[1,', 'null x', '{"__proto__": {"admin": true}}']) {
      const answer = await post(text, 'application/json');
      expect([answer.statusCode, answer.json().error.message]).toEqual([400, 'Malformed request body']);
    }
  });

  test('that is missing, not an object, or of another content type is no body', async () => {
    const bodies = [
      ['', 'application/json'],
      ['{"endpoint": {}}', 'text/plain'],
      ['<endpoint/>', 'application/xml'],
      ['a=b', 'application/x-www-form-urlencoded'],
      ['null', 'application/json'],
      ['3', 'application/json'],
    ];
    for (const [text, type] of bodies) {
      const answer = await post(text!, type);
      expect([answer.statusCode, answer.json().error.message]).toEqual([
        400,
        'The server could not comply with the request since it is either malformed or otherwise incorrect.',
      ]);
    }
  });

  test('whose content type is no media type is refused, whatever the path and method', async () => {
    const id = await api.transfer(api.member, 'mistyped');
    const asked = [
      ['POST', '/v1/endpoints'],
      ['POST', `/v1/transfers/${id}/executions`],
      ['PUT', `/v1/transfers/${id}`],
      ['DELETE', `/v1/transfers/${id}`],
      ['POST', '/identity/v3/auth/tokens'],
    ] as const;
    for (const [method, path] of asked) {
      for (const type of ['', ' ', 'json', '*', '/', 'application/', 'application/json, text/plain', 'ä/ä']) {
        const answer = await api.member.request(method, path, '{}', { 'content-type': type });
        expect([path, type, answer.statusCode, answer.json().error.message]).toEqual([
          path,
          type,
          400,
          'The Content-Type of the request is no media type: send "application/json".',
        ]);
      }
    }
    expect((await api.member.get(`/transfers/${id}/executions`)).json()).toEqual({ executions: [] });
  });

  test('may name its character set', async () => {
    const answer = await post('{"endpoint": {"name": "x"}}', 'application/json; charset=utf-8');
    expect(answer.json().error.message).toContain('lacks a required attribute: "type"');
  });

  test('larger than the limit is refused', async () => {
    for (const type of ['application/json', 'text/plain']) {
      const answer = await post(`{"endpoint": {"name": "${'x'.repeat(30_000)}"}}`, type);
      expect(answer.json().error).toEqual({
        fault: 'overLimit',
        code: 413,
        message: 'The request is larger than 20000 bytes.',
      });
    }
  });

  test('that no database can hold, or that is nested too deeply, is refused', async () => {
    const deep = `${'[['.repeat(2_000)}${']]'.repeat(2_000)}`;
    for (const value of ['"\\u0000"', '"\\ud800"', '{"\\u0000": 1}', deep]) {
      const answer = await post(
        `{"region": {"name": "x", "description": ${value}}}`,
        'application/json',
        '/v1/regions',
      );
      expect(answer.statusCode).toBe(400);
      expect(answer.json().error.message).toMatch(/^Invalid input received: /);
    }
  });

  test('that is wrong in many places is told all of them', async () => {
    const answer = await api.member.post('/transfers', {
      transfer: { origin_endpoint_id: 1, destination_endpoint_id: null, instances: [2], notes: [], clone_disks: 'x' },
    });
    const { message } = answer.json().error;
    for (const word of ['origin_endpoint_id', 'destination_endpoint_id', 'instances.0', 'notes', 'clone_disks']) {
      expect(message).toContain(word);
    }
  });

  test('whose reasons would fill a book is told the first twenty', async () => {
    const answer = await api.member.post('/transfers', {
      transfer: {
        origin_endpoint_id: 'a',
        destination_endpoint_id: 'b',
        instances: Array.from({ length: 1_000 }, () => 1),
      },
    });
    expect(answer.json().error.message).toMatch(/; and 980 more$/);
  });
});

describe('a parameter', () => {
  test('in base64 is read with either alphabet, padded or not', async () => {
    const id = await api.endpoint(api.member, 'params');
    const text = JSON.stringify({ k: 'ÿþ~?>' });
    const forms = ['base64', 'base64url'] as const;
    for (const form of forms) {
      const env = encodeURIComponent(Buffer.from(text).toString(form));
      const answer = await api.member.get(`/endpoints/${id}/networks?env=${env}`);
      expect(answer.json().error.message).toMatch(/^NoSuitableWorkerServiceError: /);
      expect(answer.statusCode).toBe(503);
    }
  });

  test('that is not what it should be is refused', async () => {
    const id = await api.endpoint(api.member, 'bad-params');
    const b64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const paths = [
      'networks?env=***',
      'networks?env=A',
      `networks?env=${Buffer.from([0xff, 0xfe]).toString('base64url')}`,
      `networks?env=${b64([1])}`,
      `networks?env=${Buffer.from('{').toString('base64url')}`,
      `networks?env=${b64({ a: '\u0000' })}`,
      `source-options?options=${b64({ a: 1 })}`,
      `source-options?options=${b64([1])}`,
      'instances?limit=x',
      'instances/***',
      `instances/${Buffer.from('a\0b').toString('base64url')}`,
    ];
    for (const path of paths) {
      const answer = await api.member.get(`/endpoints/${id}/${path}`);
      expect([path, answer.statusCode]).toEqual([path, 400]);
    }
  });

  test('with a zero byte or a broken escape in the URL is refused', async () => {
    for (const path of ['/v1/transfers/%00', '/v1/transfers?marker=%00', '/v1/transfers/%ff%fe', '/v1/transfers/%zz']) {
      const answer = await api.member.request('GET', path);
      expect([path, answer.statusCode, answer.json().error.fault]).toEqual([path, 400, 'badRequest']);
    }
  });
});

describe('what is no HTTP', () => {
  let port: number;
  beforeAll(async () => {
    await api.app.listen({ host: '127.0.0.1', port: 0 });
    ({ port } = api.app.server.address() as net.AddressInfo);
  });

  /** All that comes back until the server closes the connection. */
  const answerTo = (text: string, then?: (socket: net.Socket) => void) =>
    new Promise<string>((resolve) => {
      const socket = net.connect(port, '127.0.0.1', () => socket.write(text));
      let answer = '';
      socket.on('data', (chunk) => {
        answer += chunk;
        then?.(socket);
      });
      // The server does not wait for the rest of what it refuses: a connection that is reset has been closed, too.
      socket.on('error', () => undefined);
      socket.on('close', () => resolve(answer));
    });

  test.each([
    ['NONSENSE\r\n\r\n', 400, 'badRequest', 'BAD_REQUEST', /^Malformed HTTP request: ./],
    ['GET / HTTP/1.1\r\nHost: a\r\nX-Y: a\x01b\r\n\r\n', 400, 'badRequest', 'BAD_REQUEST', /header value/i],
    [
      `GET / HTTP/1.1\r\nHost: a\r\nX-Y: ${'x'.repeat(17_000)}\r\n\r\n`,
      431,
      'overLimit',
      'HEADERS_TOO_LARGE',
      /larger than 16384 bytes/,
    ],
  ])('is refused as anything else is, and does not disturb the next: %#', async (text, status, word, code, message) => {
    const answer = await answerTo(text);
    const [head, body] = answer.split('\r\n\r\n') as [string, string];
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(head).toMatch(/^x-openstack-request-id: req-[0-9a-f-]{36}\r?$/m);
    expect(JSON.parse(/^x-godwit-error: (.*)$/m.exec(head)![1]!)).toMatchObject({ code, remedy: expect.any(String) });
    expect(JSON.parse(body)).toEqual({ error: { fault: word, code: status, message: expect.stringMatching(message) } });
    expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
  });

  test('is not answered in the middle of another answer', async () => {
    const request = `GET /v1/events HTTP/1.1\r\nHost: a\r\nX-Auth-Token: ${api.member.token}\r\n\r\n`;
    const answer = await answerTo(request, (socket) => socket.write('NONSENSE\r\n\r\n'));
    expect(answer).toMatch(/^HTTP\/1.1 200 /);
    expect(answer.split('HTTP/1.1 ')).toHaveLength(2);
  });
});
