import { join } from 'node:path';
import type { NbdAddress } from '@godwit/disk';
import type { OpenDisks, Snapshot } from '@godwit/provider';
import type { Host } from './connection.ts';

/** Leads to the exports of a running backup job: directly, or through one ssh tunnel for all disks. */
export async function openBackup(host: Host, taken: Snapshot, changedContext: string): Promise<OpenDisks> {
  const server = field(taken.handle, 'server');
  const unix = field(server, 'unix');
  const port = Number(field(server, 'port'));
  const changed = field(taken.handle, 'changed');
  let transport: NbdAddress['transport'];
  let close = () => Promise.resolve();
  if (host.ssh !== null) {
    const tunnel = await host.ssh.tunnel(typeof unix === 'string' ? unix : `127.0.0.1:${port}`);
    transport = { unix: tunnel.socket };
    close = () => tunnel.close();
  } else {
    transport = typeof unix === 'string' ? { unix } : { host: host.sameMachine ? '127.0.0.1' : host.nbdHost, port };
  }
  const tls = host.tls === null || 'unix' in transport ? null : tlsFiles(host.tls.folder, host.nbdHost);
  return {
    addresses: Object.fromEntries(
      taken.disks.map(({ id }): [string, NbdAddress] => [
        id,
        {
          kind: 'nbd',
          transport,
          export: id,
          readOnly: true,
          ...(field(changed, id) === true ? { changedContext } : {}),
          ...(tls === null ? {} : { tls }),
        },
      ]),
    ),
    close,
  };
}

function tlsFiles(folder: string, serverName: string): NonNullable<NbdAddress['tls']> {
  return {
    caFile: join(folder, 'cacert.pem'),
    certFile: join(folder, 'clientcert.pem'),
    keyFile: join(folder, 'clientkey.pem'),
    serverName,
  };
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
