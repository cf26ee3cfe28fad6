import { createHash } from 'node:crypto';
import { all, type Element, one } from '@godwit/provider/xml';
import { isTrackable, layersOf, pathOf, UNKNOWN_BASE } from './checkpoint.ts';
import type { Host } from './connection.ts';
import type { DomainDisk } from './domain-xml.ts';
import { fingerprint } from './host-files.ts';
import { type FoundDomain, isActive } from './inventory.ts';

/**
 * By disk id: a digest of the files that the disk's own file lies over, with their times of change. Disks over nothing are
 * absent. A change bitmap tells the writes to the disk's own file; a base that was written to or exchanged shows here alone.
 */
export async function basesOf(host: Host, domain: FoundDomain): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const disk of domain.disks.filter(isTrackable)) {
    const layers = await below(host, domain, disk);
    if (layers === null) found[disk.id] = UNKNOWN_BASE;
    else if (layers.length > 0) found[disk.id] = await digest(host, layers, `disk ${disk.id} of ${domain.name}`);
  }
  return found;
}

/** Null: it cannot be told. A running domain's description has the whole chain. */
async function below(host: Host, domain: FoundDomain, disk: DomainDisk): Promise<(string | null)[] | null> {
  const element = all(one(domain.root, 'devices'), 'disk').find(
    (found) => one(found, 'target')?.attributes.dev === disk.id,
  );
  if (isActive(domain) && one(element, 'backingStore') !== undefined) return chainIn(element);
  if (host.files.reach === 'none') return isActive(domain) ? [] : null;
  const path = await pathOf(host, domain, disk);
  return (await layersOf(host, path, `disk ${disk.id} of ${domain.name}`)).slice(1);
}

function chainIn(disk: Element | undefined): (string | null)[] {
  const store = one(disk, 'backingStore');
  // The last one of the chain is empty.
  if (store === undefined || store.attributes.type === undefined) return [];
  const { file, dev } = one(store, 'source')?.attributes ?? {};
  return [file ?? dev ?? null, ...chainIn(store)];
}

async function digest(host: Host, layers: readonly (string | null)[], object: string): Promise<string> {
  const hash = createHash('sha256');
  for (const path of layers) {
    const reachable = path !== null && host.files.reach !== 'none';
    const print = reachable ? await fingerprint(host.files, path, object) : null;
    if (print === null) return UNKNOWN_BASE;
    hash.update(`${path} ${print}\n`);
  }
  return hash.digest('hex').slice(0, 16);
}
