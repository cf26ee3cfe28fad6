import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { connectGodwit } from '../src/index.ts';

test('an abort ends a stream that has run for long, after everything unreferenced was collected', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const server = createServer((request, response) => {
    if (request.method === 'POST') {
      response.writeHead(201, { 'content-type': 'application/json', 'x-subject-token': 't' });
      response.end(JSON.stringify({ token: { expires_at: new Date(Date.now() + 3_600_000).toISOString() } }));
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('id: 1-1\nevent: task.updated\ndata: {"id":"1-1"}\n\n');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    const client = await connectGodwit({
      credentials: { authUrl: url, username: 'u', password: 'p' },
      endpoint: url,
    });
    const stop = new AbortController();
    const seen: string[] = [];
    for await (const event of client.followEvents({ signal: stop.signal })) {
      seen.push(event.id);
      for (let round = 0; round < 10; round += 1) {
        collect();
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      stop.abort();
    }
    expect(seen).toEqual(['1-1']);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
