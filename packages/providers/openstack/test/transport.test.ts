import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { Transport } from '../src/client/transport.ts';

type Handler = (request: IncomingMessage, response: ServerResponse, count: number) => void | Promise<void>;

const running: { server: Server; transport: Transport }[] = [];

/** A web server that behaves as told, and a transport to it. */
async function serve(handler: Handler): Promise<{ url: string; transport: Transport; seen: () => number }> {
  let count = 0;
  const server = createServer((request, response) => {
    count++;
    void handler(request, response, count);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const transport = new Transport({ caFile: null, insecure: false, label: 'endpoint lab' });
  running.push({ server, transport });
  return { url: `http://127.0.0.1:${port}/`, transport, seen: () => count };
}

afterEach(async () => {
  for (const { server, transport } of running.splice(0)) {
    await transport.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

const about = { object: 'servers of endpoint lab', signal: new AbortController().signal };

describe('HTTP to a cloud', () => {
  test('asks again while the service is busy, and returns what stays', async () => {
    const { url, transport, seen } = await serve((_, response, count) => {
      if (count < 3) response.writeHead(count === 1 ? 503 : 429, { 'retry-after': '0' }).end();
      else response.end('done');
    });
    const answer = await transport.send({ ...about, method: 'GET', url });
    expect(answer).toMatchObject({ status: 200, text: 'done' });
    expect(seen()).toBe(3);
  });

  test('repeats a read whose connection was dropped, and never a creation', async () => {
    const drop: Handler = (request, response, count) => {
      if (count === 1) request.socket.destroy();
      else response.end('done');
    };
    const reading = await serve(drop);
    expect((await reading.transport.send({ ...about, method: 'GET', url: reading.url })).text).toBe('done');
    const creating = await serve(drop);
    const lost = creating.transport.send({ ...about, method: 'POST', url: creating.url, body: '{}' });
    await expect(lost).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
    expect(creating.seen()).toBe(1);
  });

  test('returns refusals as they are', async () => {
    const { url, transport, seen } = await serve((_, response) => void response.writeHead(409).end('{}'));
    expect((await transport.send({ ...about, method: 'POST', url, body: '{}' })).status).toBe(409);
    expect(seen()).toBe(1);
  });

  test('reads a body that takes longer than its answer may', async () => {
    const rest = Promise.withResolvers<void>();
    const { url, transport } = await serve(async (_, response) => {
      response.writeHead(200);
      response.write('part ');
      await rest.promise;
      response.end('part');
    });
    const answerMs = 2_000;
    const { body } = await transport.stream({ ...about, method: 'GET', url, answerMs });
    await sleep(answerMs + 200);
    rest.resolve();
    const parts: Buffer[] = [];
    for await (const part of body) parts.push(Buffer.from(part));
    expect(Buffer.concat(parts).toString()).toBe('part part');
  });

  test('gives up on an answer that does not begin, and says so', async () => {
    const { url, transport } = await serve(() => undefined);
    const waiting = transport.send({ ...about, method: 'POST', url, body: '{}', answerMs: 100 });
    await expect(waiting).rejects.toThrow(/gave no answer in time/);
  });

  test('ends with the call that asked', async () => {
    const { url, transport } = await serve(() => undefined);
    const call = new AbortController();
    const waiting = transport.send({ ...about, method: 'GET', url, signal: call.signal });
    call.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'CANCELED' });
  });

  test('throws a refused stream with the message and the request id of the service', async () => {
    const { url, transport } = await serve((_, response) => {
      response.writeHead(404, { 'x-openstack-request-id': 'req-7' }).end('{"message": "no such image"}');
    });
    const refused = transport.stream({ ...about, method: 'GET', url });
    await expect(refused).rejects.toMatchObject({
      code: 'NOT_FOUND',
      details: { reason: 'no such image (request req-7)', status: 404 },
    });
  });
});
