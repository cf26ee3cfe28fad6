import { textOf, xml } from '@godwit/provider/xml';
import type { Host } from './connection.ts';
import { checkKey, PREFIX, uuidOf } from './mark.ts';
import { complaint } from './virsh.ts';
import { readXml } from './xml.ts';

/** Name of the network of a test instance. */
export function testNetworkName(key: string): string {
  return PREFIX + checkKey(key);
}

/**
 * Makes a network that leads nowhere: no forwarding, no address of the host, no DHCP. NICs may keep their MAC in it.
 *
 * @returns its name, or null when this host cannot make networks: the test then runs without NICs
 */
export async function makeTestNetwork(host: Host, key: string): Promise<string | null> {
  const name = testNetworkName(key);
  const uuid = uuidOf(`network ${key}`);
  const entry = await host.ctx.ledger.intend('network', name, { key }, 'deployment');
  const known = await host.virsh.attempt(['net-uuid', name]);
  if (known.code !== 0) {
    const description = xml('network', {}, [
      xml('name', {}, [name]),
      xml('uuid', {}, [uuid]),
      // An interface's name has at most 15 characters.
      xml('bridge', { name: `gw${uuid.slice(0, 8)}`, stp: 'on', delay: 0 }),
    ]).xml;
    const made = await host.virsh.withFile(description, (file) => host.virsh.attempt(['net-define', file]));
    if (made.code !== 0) return without(host, key, made.stderr);
  }
  const started = await host.virsh.attempt(['net-start', name]);
  if (started.code !== 0 && !/already active/i.test(started.stderr)) return without(host, key, started.stderr);
  await host.ctx.ledger.made(entry);
  return name;
}

async function without(host: Host, key: string, stderr: string): Promise<null> {
  host.ctx.progress(`No isolated network can be made here (${complaint(stderr)}); the test runs without NICs`);
  await removeTestNetwork(host, key);
  return null;
}

/** Removes it, when it is the one that was made for this key. Gone already is success. */
export async function removeTestNetwork(host: Host, key: string): Promise<void> {
  const name = testNetworkName(key);
  const known = await host.virsh.attempt(['net-dumpxml', name]);
  if (known.code === 0 && textOf(readXml(known.stdout, `network ${name}`), 'uuid') === uuidOf(`network ${key}`)) {
    await host.virsh.attempt(['net-destroy', name]);
    await host.virsh.run(`network ${name}`, 'net-undefine', name);
  }
  await host.ctx.ledger.removed('network', name);
}
