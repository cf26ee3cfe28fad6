import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

export interface Received {
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

/** Somebody outside who is told of events: how it answers is set for each request that is to come. */
export class Receiver {
  readonly received: Received[] = [];
  /** How the next requests are answered, in order; beyond it: 204. */
  readonly manners: ((response: ServerResponse) => void)[] = [];
  readonly #server: Server;
  readonly #protocol: 'http' | 'https';

  private constructor(server: Server, protocol: 'http' | 'https') {
    this.#server = server;
    this.#protocol = protocol;
  }

  /** @param tls key and certificate in PEM; absent: in clear */
  static async start(tls?: { key: string; cert: string }): Promise<Receiver> {
    const server = tls === undefined ? createServer() : createTlsServer(tls);
    const receiver = new Receiver(server, tls === undefined ? 'http' : 'https');
    server.on('request', (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const body = Buffer.concat(chunks).toString();
        receiver.received.push({ path: request.url ?? '', headers: request.headers, body });
        const manner = receiver.manners.shift() ?? ((one: ServerResponse) => one.writeHead(204).end());
        manner(response);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return receiver;
  }

  get url(): string {
    return `${this.#protocol}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Types of the events that came, in order. */
  get types(): string[] {
    return this.received.map(({ body }) => (JSON.parse(body) as { type: string }).type);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
