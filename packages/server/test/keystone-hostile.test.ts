import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { GodwitError } from '@godwit/domain';
import { afterEach, describe, expect, it } from 'vitest';
import { Barbican } from '../src/keystone/barbican.ts';
import { KeystoneClient } from '../src/keystone/client.ts';

/** What a connection gets for a request: its answer, whole or not; null: it is reset. */
type Answer = (request: string) => string | null;

const json = (status: string, body: string, more = '') =>
  `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\n${more}content-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`;

const SECRET = '/v1/secrets/00000000-0000-4000-8000-000000000000';

let close: () => void;
afterEach(() => close());

/** A peer that speaks as a test says: what a Keystone may do, the testbed's real one shows (identity.testbed.ts). */
async function peer(answer: Answer) {
  const requests: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('data', (data) => {
      const request = data.toString('latin1');
      requests.push(request);
      const said = answer(request);
      if (said === null) socket.resetAndDestroy();
      else socket.end(said);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  close = () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  const root = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const keystone = new KeystoneClient({ authUrl: `${root}/v3`, credentialId: 'id', credentialSecret: 'hidden' });
  return { root, requests, keystone };
}

/** Lets the service account in, and gives everything else to `answer`. */
const afterSignIn =
  (answer: Answer): Answer =>
  (request) => {
    if (!request.startsWith('POST')) return answer(request);
    const [, host] = /^host: (\S+)/im.exec(request) ?? [];
    const catalog = [{ type: 'key-manager', endpoints: [{ interface: 'public', url: `http://${host}` }] }];
    const token = { expires_at: '2999-01-01T00:00:00Z', user: { id: 'service', name: 'service' }, catalog };
    return json('201 Created', JSON.stringify({ token }), 'x-subject-token: own\r\n');
  };

const failure = (work: Promise<unknown>): Promise<GodwitError> =>
  work.then(
    () => expect.fail('it did not fail'),
    (error: GodwitError) => error,
  );

const tenant = json('200 OK', '{"token":{"expires_at":"2999-01-01T00:00:00Z","user":{"id":"u","name":"mona"}}}');

describe('a Keystone', () => {
  it.each([1, 2])('whose connection breaks %i times in a row', async (times) => {
    let left = times;
    const { keystone, requests } = await peer(afterSignIn(() => (left-- > 0 ? null : tenant)));
    const validated = keystone.validate('theirs');
    if (times === 1) expect((await validated)?.user.name).toBe('mona');
    else
      expect(await failure(validated)).toMatchObject({
        code: 'CONNECTION_FAILED',
        object: `Keystone at ${keystone.url}`,
      });
    expect(requests).toHaveLength(3);
  });

  it('that breaks off in its answer is asked once more', async () => {
    let first = true;
    const { keystone, requests } = await peer(
      afterSignIn(() => {
        const said = first ? tenant.slice(0, -10) : tenant;
        first = false;
        return said;
      }),
    );
    expect((await keystone.validate('theirs'))?.user.id).toBe('u');
    expect(requests).toHaveLength(3);
  });

  it.each([
    ['a page', json('200 OK', '<html>'), 'it answered 200 without a word on the token'],
    ['an empty object', json('200 OK', '{}'), 'it answered 200 without a word on the token'],
    ['null', json('200 OK', 'null'), 'it answered 200 without a word on the token'],
    ['an error', json('500 Internal Server Error', '{}'), 'it answered 500'],
    ['what is no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n', ''],
  ])('that answers %s lets nobody in, and is named', async (_, answer, reason) => {
    const { keystone } = await peer(afterSignIn(() => answer));
    const error = await failure(keystone.validate('theirs'));
    expect(error).toMatchObject({ code: 'CONNECTION_FAILED', object: `Keystone at ${keystone.url}` });
    expect(error.message).toContain(reason);
    expect(JSON.stringify(error.toData())).not.toMatch(/theirs|own|hidden/);
  });

  it('that sends elsewhere is not followed: the token stays here', async () => {
    const { keystone, requests } = await peer(
      afterSignIn((request) =>
        request.startsWith('GET /elsewhere') ? tenant : json('302 Found', '', 'location: /elsewhere\r\n'),
      ),
    );
    expect((await failure(keystone.validate('theirs'))).code).toBe('CONNECTION_FAILED');
    expect(requests).toHaveLength(2);
  });

  it('that does not know the service account says which file is wrong', async () => {
    const { keystone } = await peer(() => json('401 Unauthorized', '{}'));
    const error = await failure(keystone.validate('theirs'));
    expect(error.code).toBe('AUTHENTICATION_FAILED');
    expect(error.explain()).toContain('keystone.yaml');
  });

  it('that is not there is named with the reason, whatever its name stands for', async () => {
    const { keystone } = await peer(() => null);
    close();
    const port = new URL(keystone.url).port;
    const away = new KeystoneClient({
      authUrl: `http://localhost:${port}/v3`,
      credentialId: 'i',
      credentialSecret: 's',
    });
    expect((await failure(away.validate('theirs'))).message).toMatch(/ECONNREFUSED/);
  });
});

describe('a key manager', () => {
  it.each([undefined, 'their own token'])(
    'whose connection breaks is called by its name (token: %s)',
    async (token) => {
      const { keystone, root } = await peer(afterSignIn(() => null));
      const error = await failure(new Barbican(keystone).read(`${root}${SECRET}`, token));
      expect(error).toMatchObject({ code: 'CONNECTION_FAILED', object: 'the key manager' });
    },
  );

  it('whose connection breaks once gives the secret', async () => {
    let left = 1;
    const { keystone, root } = await peer(afterSignIn(() => (left-- > 0 ? null : json('200 OK', '{"path":"/vms"}'))));
    expect(await new Barbican(keystone).read(`${root}${SECRET}`)).toEqual({ path: '/vms' });
  });
});
