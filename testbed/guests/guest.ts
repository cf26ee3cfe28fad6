import { constants } from 'node:fs';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Guest } from './guest-build.ts';

/** How the guest is wired into a domain. */
export interface GuestDomain {
  name: string;
  guest: Guest;
  /** File that the serial console is written to. */
  console: string;
  /** libvirt network of its NIC; absent: a user-mode NIC that leads nowhere. */
  network?: string;
  mac?: string;
  /** MiB. Default 256. */
  memory?: number;
}

/**
 * Domain XML of the guest, run by emulation: a /dev/kvm that makes a virtual CPU may still not get a guest through its boot
 * loader (nested and paravirtual KVM). Disks `vda` to `vdd` in the order boot, data, work, archive.
 */
export function guestDomainXml(domain: GuestDomain): string {
  const disks = domain.guest.disks.map(
    ({ path, format }, index) => `    <disk type='file' device='disk'>
      <driver name='qemu' type='${format}' discard='unmap'/>
      <source file='${path}'/>
      <target dev='vd${'abcd'[index]}' bus='virtio'/>${index === 0 ? "\n      <boot order='1'/>" : ''}
    </disk>`,
  );
  const mac = `<mac address='${domain.mac ?? '52:54:00:67:77:01'}'/>`;
  const nic =
    domain.network === undefined
      ? `<interface type='user'>${mac}<model type='virtio'/></interface>`
      : `<interface type='network'>${mac}<source network='${domain.network}'/><model type='virtio'/></interface>`;
  return `<domain type='qemu'>
  <name>${domain.name}</name>
  <memory unit='MiB'>${domain.memory ?? 256}</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <features><acpi/></features>
  <devices>
${disks.join('\n')}
    ${nic}
    <serial type='pty'><log file='${domain.console}' append='on'/></serial>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
  </devices>
</domain>
`;
}

/** What the guest said on its console, of one boot or one `report` command. */
export interface GuestReport {
  hostname: string;
  firmware: string;
  /** `ip`: IPv4 addresses, separated by commas; empty when the guest has none or does not tell. */
  nics: { name: string; driver: string; mac: string; ip: string }[];
  /** By role: `ok`, `BAD` or `MISSING`, and a digest that is equal on two machines that hold the same. */
  disks: Record<string, { status: string; digest: string; files: number }>;
  /** Files whose checksum is wrong. */
  bad: string[];
  /** Records of the write load, and how many of them are torn or lost. */
  load: { records: number; bad: number };
}

/** The reports in a console log, oldest first. Unfinished ones are left out. */
export function readReports(log: string): GuestReport[] {
  const blocks = log.replaceAll('\r', '').split('TESTBED-BEGIN\n').slice(1);
  return blocks
    .filter((block) => block.includes('TESTBED-END'))
    .map((block) => parseReport(block.split('TESTBED-END')[0] ?? ''));
}

/** The newest report in a console log, or null. */
export function readReport(log: string): GuestReport | null {
  return readReports(log).at(-1) ?? null;
}

function parseReport(block: string): GuestReport {
  const report: GuestReport = {
    hostname: '',
    firmware: '',
    nics: [],
    disks: {},
    bad: [],
    load: { records: 0, bad: 0 },
  };
  for (const line of block.split('\n')) {
    if (!line.startsWith('TESTBED ')) continue;
    const facts = Object.fromEntries(
      [...line.slice(8).matchAll(/(\w+)=(\S*)/g)].map(([, name, value]) => [name ?? '', value ?? '']),
    );
    if (line.startsWith('TESTBED disk=')) {
      report.disks[facts.disk ?? ''] = {
        status: facts.status ?? '',
        digest: facts.digest ?? '',
        files: Number(facts.files ?? 0),
      };
    } else if (line.startsWith('TESTBED nic=')) {
      report.nics.push({ name: facts.nic ?? '', driver: facts.driver ?? '', mac: facts.mac ?? '', ip: facts.ip ?? '' });
    } else if (line.startsWith('TESTBED load ')) {
      report.load = { records: Number(facts.records), bad: Number(facts.bad) };
    } else if (line.startsWith('TESTBED bad=')) report.bad.push(line.slice(12));
    else if (facts.hostname !== undefined) report.hostname = facts.hostname;
    else if (facts.firmware !== undefined) report.firmware = facts.firmware;
  }
  return report;
}

/** The part of a libvirt host that guests are driven through. */
export interface GuestHost {
  virsh(...args: string[]): Promise<string>;
}

export interface GuestWait {
  /** Reports in the log already; the next one is waited for. Default 0. */
  after?: number;
  /** Default 300. */
  seconds?: number;
}

/**
 * Waits for the guest's next report on its console.
 *
 * @throws Error with the end of the console when the guest panicked or the time is over
 */
export async function nextReport(console: string, wait: GuestWait = {}): Promise<GuestReport> {
  const deadline = performance.now() + (wait.seconds ?? 300) * 1000;
  for (;;) {
    const log = await readFile(console, 'latin1').catch(() => '');
    const report = readReports(log)[wait.after ?? 0];
    if (report !== undefined) return report;
    const trouble = troubleIn(log);
    if (trouble !== null || performance.now() > deadline) {
      throw new Error(`no report from the guest (${trouble ?? 'time is over'}): ...${log.slice(-2000)}`);
    }
    await sleep(100);
  }
}

/** What a console tells of a guest that will never report, or null. */
export function troubleIn(log: string): string | null {
  return /Kernel panic.*|grub rescue>|error: .*not found|No bootable device/.exec(log)?.[0] ?? null;
}

/** Gives the guest a command on its console (see `init`) and waits until it says that it is done. */
export async function command(host: GuestHost, domain: string, console: string, text: string): Promise<void> {
  const answer = `TESTBED-DONE ${text}`;
  const before = occurrences(await readFile(console, 'latin1'), answer);
  const device = (await host.virsh('ttyconsole', domain)).trim();
  const terminal = await open(device, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
  try {
    await terminal.write(`${text}\n`);
    // Held open until it answers: QEMU looks only once a second whether somebody is at the other end.
    for (let tries = 0; tries < 1200; tries++) {
      if (occurrences(await readFile(console, 'latin1'), answer) > before) return;
      await takeOutput(terminal);
      await sleep(50);
    }
  } finally {
    await terminal.close();
  }
  throw new Error(`the guest did not answer "${text}": ...${(await readFile(console, 'latin1')).slice(-400)}`);
}

/**
 * Takes what the guest said off its terminal: a full one would stop it.
 *
 * @param terminal opened with O_NONBLOCK
 */
export async function takeOutput(terminal: FileHandle): Promise<string> {
  const buffer = new Uint8Array(65_536);
  let said = '';
  try {
    for (;;) {
      const { bytesRead } = await terminal.read(buffer);
      if (bytesRead === 0) return said;
      said += Buffer.from(buffer.subarray(0, bytesRead)).toString('latin1');
    }
  } catch (error) {
    const nothing = error instanceof Error && 'code' in error && (error.code === 'EAGAIN' || error.code === 'EIO');
    if (!nothing) throw error;
    return said;
  }
}

function occurrences(text: string, part: string): number {
  return text.split(part).length - 1;
}
