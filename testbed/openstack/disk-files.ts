import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Cloud } from './clouds.ts';

/** The file that holds a volume's newest state; those below it are found through it. For volumes that nobody writes. */
export function volumeFile(cloud: Cloud, volume: string): string {
  const info = path.join(cloud.volumesFolder, `volume-${volume}.info`);
  // Cinder's NFS driver: a snapshot makes a new file, and this says which is on top.
  const active = existsSync(info) ? (JSON.parse(readFileSync(info, 'utf8')) as { active?: string }).active : undefined;
  return path.join(cloud.volumesFolder, active ?? `volume-${volume}`);
}

/** Nova's local disk of a server that was booted from an image. */
export function localDisk(cloud: Cloud, server: string): string {
  return path.join(cloud.instancesFolder, server, 'disk');
}

/**
 * Compares two disks of the clouds with qemu-img, which shares nothing with the product. Runs inside the node of `cloud`,
 * where the base images of its local disks are found under their own names.
 *
 * @returns what it says: `Images are identical.`
 */
export async function compareDisks(cloud: Cloud, left: string, right: string): Promise<string> {
  return (await cloud.inNode(['sh', '-c', `qemu-img compare -U '${left}' '${right}' 2>&1 || true`])).trim();
}
