import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentAddress } from '@godwit/disk';
import { CompressionChoice } from '@godwit/disk/minion/compression-choice';
import { Device } from '../src/minion/device.ts';
import { serveConnection } from '../src/minion/nbd-server.ts';
import { Slots } from '../src/minion/slots.ts';

/** The agent's server in this process, over a unix socket. */
export interface Serving {
  folder: string;
  socket: string;
  /** The file that is served as `vda`. */
  file: string;
  address: AgentAddress;
  /** Cuts all connections. */
  cut(): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** @param token null: strangers may connect */
export async function serve(content: Uint8Array, token: string | null, readOnly = false): Promise<Serving> {
  const folder = await mkdtemp(join(tmpdir(), 'gwas-'));
  const file = join(folder, 'disk');
  await writeFile(file, content);
  const tokenFile = join(folder, 'token');
  await writeFile(tokenFile, `${token ?? ''}\n`);
  const device = await Device.open({ id: 'vda', path: file, readOnly }, true, 0);
  const sockets = new Set<Socket>();
  const service = {
    token,
    devices: new Map([['vda', device]]),
    slots: new Slots(524_288, 24),
    compression: new CompressionChoice(),
  };
  const server = createServer((socket) => {
    sockets.add(socket);
    void serveConnection(socket, service).finally(() => sockets.delete(socket));
  });
  const socket = join(folder, 's');
  await new Promise<void>((resolve) => {
    server.listen(socket, resolve);
  });
  const cut = () => {
    for (const one of sockets) one.destroy();
  };
  return {
    folder,
    socket,
    file,
    address: { kind: 'agent', socket, tokenFile, device: 'vda', readOnly },
    cut,
    async [Symbol.asyncDispose]() {
      cut();
      await new Promise((resolve) => server.close(resolve));
      await device.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
