import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync } from 'node:fs';
import path from 'node:path';

/** A set of Debian packages and the programs that show they are there. */
export interface PackageSet {
  /** What it is for, in a sentence's object: `copying disks`. */
  purpose: string;
  packages: string[];
  /** All of them found: nothing is installed. An entry with a slash is a file. */
  programs: string[];
}

export const diskPackages: PackageSet = {
  purpose: 'reading and writing disk images',
  packages: ['qemu-utils', 'openssl', 'util-linux'],
  programs: ['qemu-img', 'qemu-nbd', 'openssl', 'setpriv'],
};

export const testPackages: PackageSet = {
  purpose: 'the independent programs that tests compare with',
  packages: ['nbdkit', 'libnbd-bin', 'b3sum', 'python3', 'openssh-server', 'openssh-client'],
  programs: ['nbdkit', 'nbdcopy', 'nbdinfo', 'b3sum', 'sshd', 'ssh', '/usr/bin/pydoc3'],
};

export const hypervisorPackages: PackageSet = {
  purpose: 'libvirt/QEMU hosts and a guest',
  packages: [
    'libvirt-daemon-system',
    'libvirt-clients',
    'qemu-system-x86',
    'e2fsprogs',
    'busybox-static',
    'cpio',
    'iproute2',
    'dnsmasq-base',
  ],
  programs: ['libvirtd', 'virsh', 'qemu-system-x86_64', 'mke2fs', 'busybox', 'cpio', 'ip', 'dnsmasq'],
};

export const hypervisorTestPackages: PackageSet = {
  purpose: 'hosts reached by SSH and by password, and EFI firmware, in tests',
  packages: ['openssh-server', 'openssh-client', 'sasl2-bin', 'libsasl2-modules', 'ovmf'],
  programs: ['sshd', 'ssh', 'saslpasswd2', '/usr/share/OVMF/OVMF_VARS_4M.fd'],
};

/** The clouds install all else themselves, see testbed/openstack/cloudlib/infra.py. */
export const cloudPackages: PackageSet = {
  purpose: 'the program that brings up OpenStack clouds',
  packages: ['python3', 'openssh-client'],
  programs: ['/usr/bin/pydoc3', 'ssh', 'ssh-keygen'],
};

export const benchPackages: PackageSet = {
  purpose: 'the peers of the benchmarks',
  packages: ['rsync'],
  programs: ['rsync'],
};

const searchPath = [...(process.env.PATH ?? '').split(':'), '/usr/local/sbin', '/usr/sbin', '/sbin'];

/** True when `program` can be run: a name is looked up in PATH and the system's sbin folders. */
export function hasProgram(program: string): boolean {
  if (program.includes('/')) return existsSync(program);
  return searchPath.some((folder) => {
    try {
      accessSync(path.join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false; // not in this folder: the next one may have it
    }
  });
}

/** The programs of a set that are missing. */
export function missing(set: PackageSet): string[] {
  return set.programs.filter((program) => !hasProgram(program));
}

/** The one line that installs the packages of the sets. */
export function installLine(sets: PackageSet[]): string {
  return `apt-get install -y --no-install-recommends ${[...new Set(sets.flatMap((set) => set.packages))].join(' ')}`;
}

/**
 * Sees to it that the sets are installed. As root on Debian: installs what is missing. Otherwise prints the line that
 * would and goes on with what is there.
 *
 * @returns the sets that are still not complete
 */
export function ensurePackages(
  sets: PackageSet[],
  say: (line: string) => void = (line) => console.error(line),
): PackageSet[] {
  const wanted = sets.filter((set) => missing(set).length > 0);
  if (wanted.length === 0) return [];
  for (const set of wanted) say(`Not installed yet, for ${set.purpose}: ${missing(set).join(', ')}`);
  if (process.getuid?.() !== 0 || !hasProgram('apt-get')) {
    say(`Install them with:  sudo ${installLine(wanted)}`);
    return wanted;
  }
  say(`Installing: ${[...new Set(wanted.flatMap((set) => set.packages))].join(' ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const options = { env, stdio: ['ignore', 'ignore', 'inherit'] as ['ignore', 'ignore', 'inherit'] };
  const lists = '/var/lib/apt/lists';
  const apt = ['-qq', '-o', 'DPkg::Lock::Timeout=600', '-o', 'Acquire::Retries=3'];
  if (!existsSync(lists) || readdirSync(lists).length < 3) spawnSync('apt-get', [...apt, 'update'], options);
  const install = (): boolean => {
    const names = [...new Set(wanted.flatMap((set) => set.packages))];
    return spawnSync('apt-get', [...apt, 'install', '-y', '--no-install-recommends', ...names], options).status === 0;
  };
  // Old package lists name versions that mirrors no longer hold.
  if (!install()) {
    spawnSync('apt-get', [...apt, 'update'], options);
    install();
  }
  const left = wanted.filter((set) => missing(set).length > 0);
  if (left.length > 0) say(`Could not be installed. By hand:  ${installLine(left)}`);
  return left;
}
