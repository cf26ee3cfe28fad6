import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { GodwitError } from '@godwit/domain';
import { checkInput, choice, type ProviderContext } from '@godwit/provider';
import { type Static, Type } from 'typebox';
import { type HostFiles, localFiles, poolFiles, remoteFiles } from './host-files.ts';
import { secretFile, writeWhole } from './secret-file.ts';
import { Ssh } from './ssh.ts';
import { Virsh } from './virsh.ts';

export const connectionSchema = Type.Object(
  {
    uri: Type.String({
      title: 'URI',
      minLength: 1,
      maxLength: 1024,
      description:
        'libvirt URI: qemu:///system, qemu+unix:///system?socket=PATH, qemu+ssh://USER@HOST/system, qemu+tcp://HOST/system or qemu+tls://HOST/system',
    }),
    username: Type.Optional(Type.String({ title: 'User', minLength: 1, description: 'For SASL, with tcp and tls' })),
    password: Type.Optional(
      Type.String({ title: 'Password', minLength: 1, writeOnly: true, description: 'For SASL, with tcp and tls' }),
    ),
    ssh_private_key: Type.Optional(
      Type.String({
        title: 'SSH private key',
        minLength: 1,
        writeOnly: true,
        description: 'In OpenSSH or PEM form, without passphrase. Absent: the keys of the user that runs the worker',
      }),
    ),
    ssh_known_hosts: Type.Optional(
      Type.String({
        title: 'SSH host key',
        minLength: 1,
        description:
          'Lines as in known_hosts (what "ssh-keyscan HOST" prints, checked by you). Absent: those of the user that runs the worker',
      }),
    ),
    tls_folder: Type.Optional(
      Type.String({
        title: 'TLS folder',
        minLength: 1,
        description:
          'Folder on the worker with cacert.pem, clientcert.pem and clientkey.pem. Absent: where libvirt looks',
      }),
    ),
    nbd_tls: Type.Optional(
      Type.Boolean({
        title: 'Encrypt disk traffic',
        default: false,
        description:
          'TLS for the NBD export of a remote host; it needs backup_tls_x509_cert_dir set up there, and tls_folder',
      }),
    ),
    nbd_host: Type.Optional(
      Type.String({
        title: 'NBD host',
        minLength: 1,
        description: 'Address that NBD is reached at. Absent: the host of the URI',
      }),
    ),
    files: Type.Optional(
      choice(['auto', 'local', 'none'], {
        title: 'Image files',
        default: 'auto',
        description:
          'Where the files of the host are: local: the worker sees them under the same paths (same machine, shared storage); none: only through libvirt; auto: local for a host on this machine, by ssh for qemu+ssh, else none',
      }),
    ),
  },
  { additionalProperties: false },
);

export type ConnectionInfo = Static<typeof connectionSchema>;

/** How a host is reached, from its URI. */
export interface HostAddress {
  transport: 'unix' | 'ssh' | 'tcp' | 'tls';
  /** '' for a host on this machine. */
  host: string;
  port: number | null;
  user: string | null;
  /** `qemu:///session`: an unprivileged daemon of one user. */
  session: boolean;
  socket: string | null;
}

/** An open way to a libvirt host. Nothing of it needs closing. */
export interface Host {
  ctx: ProviderContext;
  address: HostAddress;
  virsh: Virsh;
  /** Its files, as far as they can be reached. */
  files: HostFiles;
  ssh: Ssh | null;
  /** True when a unix socket made there by QEMU can be connected to from here. */
  sameMachine: boolean;
  /** Where its NBD ports are reached. */
  nbdHost: string;
  tls: { folder: string } | null;
}

/** Query parameters that only say where the daemon is. Others can run programs on the worker. */
const allowedParameters = new Set(['socket', 'mode']);

/**
 * Takes a URI apart.
 *
 * @throws GodwitError INVALID_INPUT (not a QEMU URI, or one with parameters that may run programs on the worker)
 */
export function parseUri(uri: string, object: string): HostAddress {
  const refuse = (reason: string) =>
    new GodwitError('INVALID_INPUT', object, { reason: `connection_info/uri ${reason}` });
  const match =
    /^qemu(?:\+(unix|ssh|tcp|tls))?:\/\/(?:([^@/?#]+)@)?([^/?#:[\]]*|\[[0-9a-fA-F:.]+\])(?::(\d{1,5}))?\/(system|session)(?:\?([^#]*))?$/.exec(
      uri,
    );
  if (!match) throw refuse('must be like qemu:///system, qemu+ssh://USER@HOST/system or qemu+tcp://HOST/system');
  const [, named, user = null, bracketed = '', port, path, query = ''] = match;
  const host = bracketed.replace(/^\[|\]$/g, '');
  const transport = named ?? (host === '' ? 'unix' : 'tls');
  if (transport !== 'unix' && transport !== 'ssh' && transport !== 'tcp' && transport !== 'tls') {
    throw refuse('names an unknown transport');
  }
  if (transport === 'unix' && host !== '') throw refuse('must not name a host with the unix transport');
  if (transport !== 'unix' && host === '') throw refuse('must name a host');
  // An ssh destination that begins with a dash would be an option.
  if (host.startsWith('-') || user?.startsWith('-')) throw refuse('names a host or user that begins with a dash');
  if (user !== null && transport !== 'ssh') throw refuse('must not name a user; use username and password');
  if (user?.includes(':')) throw refuse('must not hold a password; use the field password');
  const parameters = new URLSearchParams(query);
  for (const name of parameters.keys()) {
    if (!allowedParameters.has(name)) throw refuse(`must not use the parameter ${name}`);
  }
  return {
    transport,
    host,
    port: port === undefined ? null : Number(port),
    user,
    session: path === 'session',
    socket: parameters.get('socket'),
  };
}

/**
 * Prepares the way to the endpoint's host; connects to nothing yet.
 *
 * @throws GodwitError INVALID_INPUT, CANCELED
 */
export async function openHost(ctx: ProviderContext): Promise<Host> {
  if (ctx.signal.aborted) throw new GodwitError('CANCELED', ctx.endpoint);
  const info = checkInput(connectionSchema, ctx.connectionInfo, 'connection_info');
  const address = parseUri(info.uri, ctx.endpoint);
  const folder = await privateFolder(ctx, info);
  const parameters = new URLSearchParams(info.uri.split('?')[1] ?? '');
  let ssh: Ssh | null = null;
  if (address.transport === 'ssh') {
    ssh = new Ssh(ctx, address, {
      folder,
      key: info.ssh_private_key === undefined ? null : await secretFile(folder, 'key', info.ssh_private_key),
      knownHosts: info.ssh_known_hosts === undefined ? null : await secretFile(folder, 'known', info.ssh_known_hosts),
    });
    // libvirt's own ssh options cannot say all of this, so it is given a program that does.
    parameters.set('command', await wrapperFile(folder, ssh.wrapper()));
    parameters.set('no_tty', '1');
  }
  if (info.password !== undefined) {
    parameters.set('authfile', await secretFile(folder, 'auth', authFile(info, address.host)));
  }
  if (info.tls_folder !== undefined) parameters.set('pkipath', info.tls_folder);
  const query = parameters.size > 0 ? `?${parameters}` : '';
  const virsh = new Virsh(ctx, info.uri.split('?')[0] + query, folder);
  const sameMachine = address.transport === 'unix' || isLoopback(address.host);
  return {
    ctx,
    address,
    virsh,
    ssh,
    sameMachine: sameMachine && info.files !== 'none',
    files:
      info.files === 'local' || (info.files !== 'none' && sameMachine)
        ? localFiles(ctx)
        : ssh !== null && info.files !== 'none'
          ? remoteFiles(ssh, ctx)
          : poolFiles(virsh, ctx.endpoint),
    nbdHost: info.nbd_host ?? (address.host === '' ? '127.0.0.1' : address.host),
    tls: info.nbd_tls ? { folder: tlsFolder(info, ctx) } : null,
  };
}

function tlsFolder(info: ConnectionInfo, ctx: ProviderContext): string {
  if (info.tls_folder !== undefined) return info.tls_folder;
  throw new GodwitError('INVALID_INPUT', ctx.endpoint, { reason: 'connection_info/nbd_tls needs tls_folder' });
}

/** True for names and addresses of this machine. */
function isLoopback(host: string): boolean {
  if (host === 'localhost' || host === '::1' || /^127\./.test(host)) return true;
  return Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === host));
}

/** What libvirt's client reads for SASL; the format has no escapes, so line ends cannot stand in a value. */
function authFile(info: ConnectionInfo, host: string): string {
  const plain = (value: string | undefined) => (value ?? '').replace(/[\r\n]/g, '');
  return [
    '[credentials-godwit]',
    `authname=${plain(info.username)}`,
    `username=${plain(info.username)}`,
    `password=${plain(info.password)}`,
    `[auth-libvirt-${host}]`,
    'credentials=godwit',
    '',
  ].join('\n');
}

/** One folder per connection, so that two endpoints never read each other's keys. */
async function privateFolder(ctx: ProviderContext, info: ConnectionInfo): Promise<string> {
  const name = createHash('sha256').update(JSON.stringify(info)).digest('hex').slice(0, 12);
  const folder = join(ctx.workDir, `lv-${name}`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return folder;
}

/** A program for libvirt to run; it names the key's file and holds nothing secret itself. */
async function wrapperFile(folder: string, script: string): Promise<string> {
  const path = join(folder, 'ssh');
  await writeWhole(path, script, 0o700);
  return path;
}
