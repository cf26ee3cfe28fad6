import { spawnSync } from 'node:child_process';
import type { PackageSet } from '../debian-packages.ts';

/**
 * Why libvirt/QEMU hosts of the testbed cannot run side by side here; undefined when they can.
 *
 * @param lacking sets of packages that are not complete
 */
export function whyNoHypervisors(lacking: readonly PackageSet[]): string | undefined {
  if (process.getuid?.() !== 0) return 'that needs root';
  const [set] = lacking;
  if (set) return `packages are missing, for ${set.purpose}`;
  // What testbed/libvirt/host.sh asks of the kernel: refused in containers without privileges and in a bare chroot.
  const probe = spawnSync(
    'unshare',
    ['--mount', '--uts', '--pid', '--net', '--fork', '--propagation', 'private', 'true'],
    {
      encoding: 'utf8',
    },
  );
  if (probe.status === 0) return undefined;
  return `this machine gives no namespaces (${(probe.stderr || String(probe.error)).trim()})`;
}
