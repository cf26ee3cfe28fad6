import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { startLink } from '../servers.ts';

test('the slow link passes every byte in order, both ways, and counts them', async () => {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const link = await startLink(String((server.address() as AddressInfo).port), 10, 50_000_000);
  try {
    const sent = Buffer.from(Uint8Array.from({ length: 8_000_000 }, (_, index) => (index * 31) >>> 3));
    const client = connect({ port: link.port, host: '127.0.0.1', allowHalfOpen: true });
    client.end(sent);
    const received = await buffer(client);
    expect(received.equals(sent)).toBe(true);
    expect(await link.carried()).toEqual({ there: sent.length, back: sent.length });
  } finally {
    await link.stop();
    server.close();
  }
});
