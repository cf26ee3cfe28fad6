import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type GuestReport, readReports } from '../guests/guest.ts';
import type { CloudApi, Json } from './cloud-api.ts';
import type { Tenant } from './tenant.ts';

const exec = promisify(execFile);

/** A server in a tenant's project, running the testbed's guest. */
export interface CloudGuest {
  readonly id: string;
  readonly name: string;
  readonly tenant: Tenant;
  /** Its address that this machine reaches. */
  readonly floating: string;
  /** Its first port. */
  readonly mac: string;
  readonly ip: string;
  /** Attached volumes in the order of attaching; without the one it booted from. */
  readonly volumes: string[];
  /** The volume it booted from, when it did. */
  readonly bootVolume: string | undefined;
}

export interface GuestOptions {
  name: string;
  /** Sizes in GiB of empty volumes that are attached. Default none. */
  volumes?: number[];
  /** Image properties of the volume that it boots from: `hw_qemu_guest_agent`. */
  properties?: Record<string, string>;
  /** Boots from a new volume of 1 GiB made from the guest's image. Default: from the image, on the host's local disk. */
  fromVolume?: boolean;
  /** Default `m1.nano`: 128 MiB, 1 GiB disk. */
  flavor?: string;
  /** Fixed address. Default: any. */
  ip?: string;
  metadata?: Record<string, string>;
  tags?: string[];
  /** Id of a server group. */
  serverGroup?: string;
  /** A script that begins with `#!`; run once at the first boot. */
  userData?: string;
}

/** Boots a guest and waits until it answers to SSH; 30 to 90 s. */
export async function bootGuest(tenant: Tenant, options: GuestOptions): Promise<CloudGuest> {
  const { api } = tenant;
  const volumes = await Promise.all(
    (options.volumes ?? []).map((size, index) => createVolume(api, `${options.name}-${index + 1}`, size)),
  );
  const bootVolume = options.fromVolume
    ? await createVolume(api, `${options.name}-root`, 1, { imageRef: tenant.cloud.guestImage })
    : undefined;
  if (bootVolume !== undefined && options.properties !== undefined) {
    const metadata = { 'os-set_image_metadata': { metadata: options.properties } };
    await api.call('volumev3', 'POST', `/volumes/${bootVolume}/action`, metadata);
  }
  const port = await api.one<{ id: string; mac_address: string; fixed_ips: { ip_address: string }[] }>(
    'network',
    'POST',
    '/ports',
    'port',
    {
      port: {
        name: options.name,
        network_id: tenant.network.id,
        security_groups: [tenant.securityGroup],
        ...(options.ip === undefined
          ? {}
          : { fixed_ips: [{ subnet_id: tenant.network.subnet, ip_address: options.ip }] }),
      },
    },
  );
  const flavors = await api.list<{ id: string; name: string }>('compute', '/flavors', 'flavors');
  const { id } = await api.one<{ id: string }>('compute', 'POST', '/servers', 'server', {
    server: {
      name: options.name,
      flavorRef: flavors.find((flavor) => flavor.name === (options.flavor ?? 'm1.nano'))?.id,
      key_name: tenant.keyName,
      networks: [{ port: port.id }],
      ...(options.metadata === undefined ? {} : { metadata: options.metadata }),
      ...(options.tags === undefined ? {} : { tags: options.tags }),
      ...(options.userData === undefined ? {} : { user_data: Buffer.from(options.userData).toString('base64') }),
      ...(bootVolume === undefined
        ? { imageRef: tenant.cloud.guestImage }
        : {
            block_device_mapping_v2: [
              {
                boot_index: 0,
                uuid: bootVolume,
                source_type: 'volume',
                destination_type: 'volume',
                delete_on_termination: false,
              },
            ],
          }),
    },
    ...(options.serverGroup === undefined ? {} : { 'os:scheduler_hints': { group: options.serverGroup } }),
  });
  await serverIs(api, id, 'ACTIVE');
  const floating = await floatTo(tenant, port.id);
  const guest: CloudGuest = {
    id,
    name: options.name,
    tenant,
    floating,
    mac: port.mac_address,
    ip: port.fixed_ips[0]?.ip_address ?? '',
    volumes,
    bootVolume,
  };
  await untilSsh(guest);
  // Only now: a disk that is plugged in while the kernel counts its devices may cost the guest its root disk.
  for (const volume of volumes) await attachVolume(api, id, volume);
  return guest;
}

/** Gives a port an address that this machine reaches. */
export async function floatTo(tenant: Tenant, port: string): Promise<string> {
  const networks = await tenant.api.list<{ id: string }>('network', '/networks?name=public', 'networks');
  const made = await tenant.api.one<{ floating_ip_address: string }>('network', 'POST', '/floatingips', 'floatingip', {
    floatingip: { floating_network_id: networks[0]?.id, port_id: port },
  });
  return made.floating_ip_address;
}

/** Makes a volume (sizes in GiB) and waits until it is available. */
export async function createVolume(api: CloudApi, name: string, size: number, more: Json = {}): Promise<string> {
  const { id } = await api.one<{ id: string }>('volumev3', 'POST', '/volumes', 'volume', {
    volume: { name, size, ...more },
  });
  await volumeIs(api, id, 'available');
  return id;
}

/** Attaches a volume and waits until it is in use. */
export async function attachVolume(api: CloudApi, server: string, volume: string): Promise<void> {
  await api.call('compute', 'POST', `/servers/${server}/os-volume_attachments`, {
    volumeAttachment: { volumeId: volume },
  });
  await volumeIs(api, volume, 'in-use');
}

/** Waits for a volume's status; an error status ends the wait. */
export async function volumeIs(api: CloudApi, id: string, status: string): Promise<void> {
  const seen = await api.until<{ status: string }>(
    `volume ${id} ${status}`,
    ['volumev3', `/volumes/${id}`, 'volume'],
    (volume) => volume === null || volume.status === status || volume.status.startsWith('error'),
  );
  if (seen?.status !== status) throw new Error(`volume ${id} is ${seen?.status ?? 'gone'}, not ${status}`);
}

/** Waits for a server's status with no task running; ERROR ends the wait. */
export async function serverIs(api: CloudApi, id: string, status: string, seconds = 300): Promise<void> {
  interface Server {
    status: string;
    'OS-EXT-STS:task_state': string | null;
    fault?: unknown;
  }
  const seen = await api.until<Server>(
    `server ${id} ${status}`,
    ['compute', `/servers/${id}`, 'server'],
    (server) =>
      server === null ||
      (server.status === status && server['OS-EXT-STS:task_state'] === null) ||
      (server.status === 'ERROR' && status !== 'ERROR'),
    seconds,
  );
  if (seen?.status !== status) {
    throw new Error(`server ${id} is ${seen?.status ?? 'gone'}, not ${status}: ${JSON.stringify(seen?.fault)}`);
  }
}

/** Runs a command in a guest as root. Rejects with what it says when it fails. */
export async function ssh(guest: Pick<CloudGuest, 'floating' | 'tenant'>, command: string): Promise<string> {
  const { stdout } = await exec(
    'ssh',
    [
      ...['-i', guest.tenant.keyFile, '-o', 'BatchMode=yes', '-o', 'ConnectTimeout=10', '-o', 'LogLevel=ERROR'],
      ...['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'IdentityAgent=none'],
      ...['-c', 'chacha20-poly1305@openssh.com', `root@${guest.floating}`, command],
    ],
    { maxBuffer: 64 << 20, timeout: 300_000 },
  );
  return stdout;
}

/** Milliseconds after which a silent guest is started anew, and within which it then has to answer. */
const BOOT_MS = 180_000;

/** An emulated guest may hang in its first instructions: that is nothing of ours, so it gets one hard reboot, spoken aloud. */
async function untilSsh(guest: CloudGuest): Promise<void> {
  if ((await answersSsh(guest)) === undefined) return;
  const { api } = guest.tenant;
  console.log(`${guest.name} does not answer to SSH and is rebooted; its console ends: ${await consoleEnd(guest)}`);
  await api.call('compute', 'POST', `/servers/${guest.id}/action`, { reboot: { type: 'HARD' } });
  await serverIs(api, guest.id, 'ACTIVE');
  const error = await answersSsh(guest);
  if (error !== undefined) throw new Error(`no SSH to ${guest.name}: ${error}\n${await consoleEnd(guest)}`);
}

/** Undefined as soon as it answers, else what stood in the way to the last. */
async function answersSsh(guest: CloudGuest): Promise<string | undefined> {
  let last = 'never tried';
  for (const end = Date.now() + BOOT_MS; Date.now() < end; await sleep(1000)) {
    try {
      await ssh(guest, 'true');
      return undefined;
    } catch (error) {
      last = String(error);
    }
  }
  return last;
}

const consoleEnd = async (guest: CloudGuest): Promise<string> =>
  (await consoleOf(guest.tenant.api, guest.id)).slice(-1500);

/** What a server has said on its console. */
export async function consoleOf(api: CloudApi, server: string): Promise<string> {
  return api.one<string>('compute', 'POST', `/servers/${server}/action`, 'output', { 'os-getConsoleOutput': {} });
}

/** Waits for the report that a guest makes on its console at boot; `after` of them are passed over. */
export async function consoleReport(api: CloudApi, server: string, after = 0, seconds = 300): Promise<GuestReport> {
  let said = '';
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await sleep(1000)) {
    said = await consoleOf(api, server);
    const report = readReports(said)[after];
    if (report !== undefined) return report;
    if (said.includes('Kernel panic')) break;
  }
  throw new Error(`no report on the console of ${server}: ...${said.slice(-1500)}`);
}

/** Asks a running guest for its report, through SSH. */
export async function askGuest(guest: CloudGuest): Promise<GuestReport> {
  const report = readReports(await ssh(guest, 'testbed report'))[0];
  if (report === undefined) throw new Error(`${guest.name} gave no report`);
  return report;
}

/** Puts file systems on the attached volumes, `data1`, `data2`..., and a file of that many KiB on each and on the root disk. */
export async function fillGuest(guest: CloudGuest, kib: number): Promise<void> {
  const devices = ['vdb', 'vdc', 'vdd', 'vde'];
  const steps = guest.volumes.map(
    (_, index) =>
      `testbed format /dev/${devices[index]} data${index + 1} && testbed put data${index + 1} first.bin ${kib}`,
  );
  await ssh(guest, [...steps, `testbed put root first.bin ${kib}`].join(' && '));
}
