import { createHash } from 'node:crypto';
import { GodwitError, type JsonObject } from '@godwit/domain';
import { xml } from '@godwit/provider/xml';
import { basesOf } from './base.ts';
import { bitmapsOf, checkpointDisks, isTrackable, makeStoppedCheckpoint, OTHER_FILE, pathOf } from './checkpoint.ts';
import type { Host } from './connection.ts';
import { fingerprint } from './host-files.ts';
import { type FoundDomain, isSaved } from './inventory.ts';
import { checkKey, checkpointName } from './mark.ts';
import { virshError } from './virsh.ts';
import { readXml } from './xml.ts';

/**
 * The snapshot of a stopped instance is its files as they are, for as long as nobody writes to them. What they looked
 * like is noted in the domain's metadata, so that any worker can tell whether they still do.
 */
export interface StoppedSnapshot {
  /** ISO 8601. */
  takenAt: string;
  /** Digest of the fingerprint by disk id. */
  prints: Record<string, string>;
  /** By disk id: the bitmap that tells changes since the asked token, or null. */
  since: Record<string, string | null>;
  /** Disks that record changes from this moment. */
  tracked: string[];
  /** The instance was saved with its memory. */
  saved?: boolean;
}

const noteUri = (key: string) => `https://godwit.dev/xmlns/libvirt/snapshot/1/${checkKey(key)}`;

/** The note of the snapshot of that key, or null. */
export async function readNote(host: Host, domain: FoundDomain, key: string): Promise<StoppedSnapshot | null> {
  const result = await host.virsh.attempt(['metadata', domain.uuid, noteUri(key), '--config']);
  if (result.code !== 0) {
    if (/metadata element is not present/i.test(result.stderr)) return null;
    throw virshError(result.stderr, `instance ${domain.name}`, host.ctx.endpoint);
  }
  const data = readXml(result.stdout, `instance ${domain.name}`).attributes.data;
  return data === undefined ? null : (JSON.parse(data) as StoppedSnapshot);
}

/** Notes the files as they are and starts recording changes. */
export async function takeNote(
  host: Host,
  domain: FoundDomain,
  key: string,
  tokens: Readonly<Record<string, string | null>>,
): Promise<{ note: StoppedSnapshot; reasons: Record<string, string> }> {
  const now = new Date();
  const since: Record<string, string | null> = {};
  const reasons: Record<string, string> = {};
  const asked = Object.values(tokens).filter((token) => token !== null);
  const bases = await basesOf(host, domain);
  const covered = await checkpointDisks(host, domain, asked, bases);
  for (const disk of domain.disks) {
    const token = tokens[disk.id] ?? null;
    since[disk.id] = null;
    if (token === null || !isTrackable(disk)) continue;
    const object = `disk ${disk.id} of ${domain.name}`;
    const usable = (await bitmapsOf(host, await pathOf(host, domain, disk), object)).get(token);
    const same = covered.get(token)?.get(disk.id);
    if (same && usable) since[disk.id] = token;
    else if (same === false) reasons[disk.id] = OTHER_FILE;
    else
      reasons[disk.id] = usable === false ? 'its change bitmap was not closed properly' : 'its change bitmap is gone';
  }
  const tracked = await makeStoppedCheckpoint(host, domain, checkpointName(key), now, bases);
  const note: StoppedSnapshot = {
    takenAt: now.toISOString(),
    prints: await printsOf(host, domain),
    since,
    tracked: [...tracked],
    saved: await isSaved(host, domain),
  };
  const element = xml('snapshot', { data: JSON.stringify(note) }).xml;
  await host.virsh.run(
    `instance ${domain.name}`,
    ...['metadata', domain.uuid, noteUri(key), '--config', '--key', 'godwit', '--set', element],
  );
  return { note, reasons };
}

/** Removes the note. Gone already is success. */
export async function dropNote(host: Host, domain: FoundDomain, key: string): Promise<void> {
  if ((await readNote(host, domain, key)) === null) return;
  await host.virsh.run(`instance ${domain.name}`, 'metadata', domain.uuid, noteUri(key), '--config', '--remove');
}

/** True when the files look as they did. */
export async function isUnchanged(host: Host, domain: FoundDomain, prints: JsonObject): Promise<boolean> {
  const now = await printsOf(host, domain);
  const ids = new Set([...Object.keys(now), ...Object.keys(prints)]);
  return [...ids].every((id) => now[id] !== undefined && now[id] === prints[id]);
}

async function printsOf(host: Host, domain: FoundDomain): Promise<Record<string, string>> {
  const prints: Record<string, string> = {};
  for (const disk of domain.disks) {
    const object = `disk ${disk.id} of ${domain.name}`;
    const path = await pathOf(host, domain, disk);
    const print = await fingerprint(host.files, path, object);
    if (print === null) throw new GodwitError('NOT_FOUND', `${object} (${path})`);
    prints[disk.id] = createHash('sha256').update(`${path} ${print}`).digest('hex').slice(0, 16);
  }
  return prints;
}
