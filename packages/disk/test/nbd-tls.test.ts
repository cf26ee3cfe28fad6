import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { openDisk } from '../src/index.ts';
import { exercise } from './disk-model.ts';
import { nbdkit, scratch } from './nbdkit.ts';

const run = promisify(execFile);

/** A certificate authority, a server and a client certificate in one folder, named as nbdkit wants them. */
async function makeCertificates(folder: string): Promise<void> {
  const openssl = (...args: string[]) => run('openssl', args, { cwd: folder });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const ca = ['-subj', '/CN=test CA', '-days', '2', '-addext', 'keyUsage=keyCertSign'];
  await openssl('req', '-x509', ...key, ...ca, '-keyout', 'ca-key.pem', '-out', 'ca-cert.pem');
  await openssl('req', '-x509', ...key, ...ca, '-keyout', 'other-key.pem', '-out', 'other-ca.pem');
  for (const [name, subject] of [
    ['server', 'disks.example'],
    ['client', 'worker'],
  ] as const) {
    await writeFile(`${folder}/${name}.ext`, `subjectAltName=DNS:${subject},IP:127.0.0.1\n`);
    await openssl('req', ...key, '-subj', `/CN=${subject}`, '-keyout', `${name}-key.pem`, '-out', `${name}.csr`);
    const sign = ['-CA', 'ca-cert.pem', '-CAkey', 'ca-key.pem', '-CAcreateserial', '-days', '2'];
    await openssl('x509', '-req', '-in', `${name}.csr`, ...sign, '-extfile', `${name}.ext`, '-out', `${name}-cert.pem`);
  }
}

describe('an NBD disk over TLS', () => {
  let folder: Awaited<ReturnType<typeof scratch>>;
  let kit: Awaited<ReturnType<typeof nbdkit>>;
  beforeAll(async () => {
    folder = await scratch();
    await makeCertificates(folder.path);
    const tls = [`--tls-certificates=${folder.path}`, '--tls=require', '--tls-verify-peer'];
    kit = await nbdkit(folder.path, [...tls, 'memory', '4M']);
    return async () => {
      await kit[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    };
  });
  const files = () => ({
    caFile: `${folder.path}/ca-cert.pem`,
    certFile: `${folder.path}/client-cert.pem`,
    keyFile: `${folder.path}/client-key.pem`,
    serverName: 'disks.example',
  });

  it('keeps what is written to it', async () => {
    const disk = await openDisk({ ...kit.address, tls: files() });
    await exercise(disk, { seed: 3, rounds: 25, maxLength: 300_000 });
    await disk.close();
  });

  it('refuses a server whose certificate is for another name', async () => {
    const opened = openDisk({ ...kit.address, tls: { ...files(), serverName: 'elsewhere.example' } });
    await expect(opened).rejects.toMatchObject({ code: 'AUTHENTICATION_FAILED' });
  });

  it('refuses a server whose certificate is of another authority', async () => {
    const opened = openDisk({ ...kit.address, tls: { ...files(), caFile: `${folder.path}/other-ca.pem` } });
    await expect(opened).rejects.toMatchObject({ code: 'AUTHENTICATION_FAILED' });
  });

  it('reports a server that wants a client certificate', async () => {
    const { caFile, serverName } = files();
    await expect(openDisk({ ...kit.address, tls: { caFile, serverName } })).rejects.toMatchObject({
      code: expect.stringMatching(/^(AUTHENTICATION|CONNECTION)_FAILED$/),
    });
  });

  it('never goes on in clear when the server offers no TLS, and says when the server requires it', async () => {
    await using plain = await nbdkit(folder.path, ['memory', '1M'], undefined, 'plain');
    await expect(openDisk({ ...plain.address, tls: files() })).rejects.toMatchObject({ code: 'AUTHENTICATION_FAILED' });
    await using old = await nbdkit(folder.path, ['--mask-handshake=0', 'memory', '1M'], undefined, 'old');
    await expect(openDisk({ ...old.address, tls: files() })).rejects.toMatchObject({ code: 'AUTHENTICATION_FAILED' });
    await expect(openDisk(kit.address)).rejects.toMatchObject({ code: 'AUTHENTICATION_FAILED' });
  });
});
