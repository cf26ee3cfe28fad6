import { posix } from 'node:path';
import { GodwitError, type InstanceInfo, type JsonObject } from '@godwit/domain';
import {
  checkInput,
  type DeployedInstance,
  type DeployRequest,
  type ProviderContext,
  type TargetRequest,
} from '@godwit/provider';
import { one } from '@godwit/provider/xml';
import { Type } from 'typebox';
import { imageError } from './checkpoint.ts';
import { type Host, openHost } from './connection.ts';
import { describeInstance, type FoundDomain, findDomain, isActive, MAX_NVRAM, NVRAM } from './inventory.ts';
import { archOf, hostAbility, type Machine, type MachineDisk, machineXml } from './machine.ts';
import { checkKey, INSTANCE_MARK, PREFIX, uuidOf } from './mark.ts';
import { destinationEnvironment, type PlacedNic, placeNics } from './placement.ts';
import { cloneReplica, collapse, dropClone, replicaHandle, replicaName, replicaOf, replicaOfDisk } from './replica.ts';
import { makeTestNetwork, removeTestNetwork } from './test-network.ts';
import { virshError } from './virsh.ts';

const handleSchema = Type.Object({
  uuid: Type.String({ minLength: 1 }),
  key: Type.String(),
  /** Disks it was made from: replica disks of the transfer. */
  replicas: Type.Array(Type.Object({ id: Type.String(), handle: Type.Record(Type.String(), Type.Unknown()) })),
  /** `own`: it took the replica disks; `overlay`: clones over them; `copy`: disks of its own. */
  disks: Type.Union([Type.Literal('own'), Type.Literal('overlay'), Type.Literal('copy')]),
  nvram: Type.Union([Type.String(), Type.Null()]),
});

/** Converting a large disk: an hour per disk is the limit. */
const COPY_MS = 3_600_000;

/** See `TargetProvider.deployInstance`. */
export async function deployInstance(ctx: ProviderContext, request: DeployRequest): Promise<DeployedInstance> {
  const host = await openHost(ctx);
  const key = checkKey(request.key);
  const environment = destinationEnvironment(request);
  const uuid = uuidOf(`instance ${request.transfer} ${key}`);
  const [first] = request.disks;
  if (first === undefined)
    throw new GodwitError('INVALID_INPUT', `instance ${request.instance.name}`, { reason: 'it has no disks' });
  const mode = request.test ? 'overlay' : request.clone ? 'copy' : 'own';
  const efi = request.instance.firmware_type === 'EFI';
  const folder = posix.dirname(replicaOfDisk(first).path);
  const nvram =
    efi && request.instance.artefacts?.[NVRAM] !== undefined ? posix.join(folder, `${PREFIX}${key}-nvram.fd`) : null;
  const handle: JsonObject = {
    uuid,
    key,
    disks: mode,
    nvram,
    replicas: request.disks.map(({ id, handle: of }) => ({ id, handle: of })),
  };
  const present = await ownDomain(host, uuid, key);
  if (present !== null) return { id: uuid, name: present.name, handle };
  const name = await chooseName(host, request);
  const entry = await ctx.ledger.intend('instance', uuid, handle, 'deployment');
  const disks: MachineDisk[] = [];
  for (const disk of request.disks) {
    const replica = replicaOfDisk(disk);
    if (mode === 'overlay') {
      const path = await cloneReplica(host, replica, key, disk.size);
      disks.push({ id: disk.id, path, format: replica.format });
    } else if (mode === 'copy') {
      disks.push(await copyDisk(host, key, disk.id, disk.handle));
    } else {
      await collapse(host, replica);
      disks.push({ id: disk.id, path: replica.path, format: replica.format });
    }
  }
  if (nvram !== null) await writeNvram(host, nvram, request.instance.artefacts?.[NVRAM] ?? '');
  const machine: Machine = {
    name,
    uuid,
    instance: request.instance,
    disks,
    nics: request.test ? await isolatedNics(host, request) : placeNics(request.instance, request),
    environment,
    mark: { transfer: request.transfer, key, test: request.test },
    nvram,
  };
  await define(host, machine, await virtualization(host, machine));
  await ctx.ledger.made(entry);
  return { id: uuid, name, handle };
}

async function virtualization(host: Host, machine: Machine): Promise<'kvm' | 'qemu'> {
  const wish = machine.environment.virtualization ?? 'auto';
  const { kvm } = await hostAbility(host, archOf(machine.instance));
  if (wish === 'kvm' && !kvm) throw new GodwitError('UNSUPPORTED', host.ctx.endpoint, { what: 'KVM' });
  return kvm && wish !== 'emulation' ? 'kvm' : 'qemu';
}

async function define(host: Host, machine: Machine, type: 'kvm' | 'qemu'): Promise<void> {
  const ability = await hostAbility(host, archOf(machine.instance));
  const description = machineXml(machine, ability, type);
  await host.virsh.withFile(description, (file) => host.virsh.run(`instance ${machine.name}`, 'define', file));
}

/** NICs of a test: all in one network that leads nowhere, or none. */
async function isolatedNics(host: Host, request: DeployRequest): Promise<PlacedNic[]> {
  if (request.instance.devices.nics.length === 0) return [];
  const network = await makeTestNetwork(host, request.key);
  return network === null ? [] : request.instance.devices.nics.map((nic) => ({ nic, network }));
}

function copyOf(key: string, id: string, handle: JsonObject) {
  const replica = replicaOf(id, handle);
  const path = posix.join(posix.dirname(replica.path), replicaName(key, id, replica.format));
  return { replica, path, own: replicaHandle(path, replica.format, key) };
}

/** A copy for good: the instance goes on living when the replica disks are long gone. */
async function copyDisk(host: Host, key: string, id: string, handle: JsonObject): Promise<MachineDisk> {
  const { replica, path, own } = copyOf(key, id, handle);
  const entry = await host.ctx.ledger.intend('disk', path, own, 'deployment');
  const script = `
set -eu
[ -e "$2" ] && exit 0
qemu-img convert -q -t writeback -f "$3" -O "$3" -- "$1" "$2.new"
mv -fT "$2.new" "$2"
`;
  host.ctx.progress(`Copying disk ${id} for the instance`);
  const args = ['-c', script, 'sh', replica.path, path, replica.format];
  const result = await host.files.run('sh', args, replica.object, { timeoutMs: COPY_MS });
  if (result.code !== 0) throw imageError(result.stderr, replica.object);
  await host.ctx.ledger.made(entry);
  return { id, path, format: replica.format };
}

async function writeNvram(host: Host, path: string, packed: string): Promise<void> {
  const script = `[ -e "$1" ] || { base64 -d | gzip -d | head -c ${MAX_NVRAM} >"$1.new" && mv -fT "$1.new" "$1"; }`;
  const result = await host.files.run('sh', ['-c', script, 'sh', path], 'firmware variables', { input: packed });
  if (result.code !== 0) throw imageError(result.stderr, 'firmware variables');
}

/** The domain of that UUID; null when there is none. @throws GodwitError FORBIDDEN when it is not ours */
async function ownDomain(host: Host, uuid: string, key: string): Promise<FoundDomain | null> {
  let domain: FoundDomain;
  try {
    domain = await findDomain(host, uuid, false);
  } catch (error) {
    if (error instanceof GodwitError && error.code === 'NOT_FOUND') return null;
    throw error;
  }
  if (markOf(domain)?.key === key) return domain;
  throw new GodwitError('FORBIDDEN', `instance ${domain.name}`, { reason: 'Godwit did not make it' });
}

function markOf(domain: FoundDomain): { transfer: string; key: string } | null {
  const mark = one(domain.root, 'metadata')?.children.find(
    ({ name, attributes }) => name === 'godwit:instance' && attributes['xmlns:godwit'] === INSTANCE_MARK,
  );
  if (mark === undefined) return null;
  return { transfer: mark.attributes.transfer ?? '', key: mark.attributes.key ?? '' };
}

/** Refuses early what deployInstance would refuse late. @throws GodwitError CONFLICT */
export async function refuseTakenName(host: Host, request: TargetRequest): Promise<void> {
  const name = plainName(request);
  const holder = await domainNamed(host, name);
  if (holder === null || markOf(holder)?.transfer === request.transfer) return;
  throw taken(name);
}

function plainName(request: TargetRequest): string {
  return request.instance.name + (destinationEnvironment(request).name_suffix ?? '');
}

function taken(name: string): GodwitError {
  return new GodwitError('CONFLICT', `instance ${name}`, {
    reason: 'the host has an instance of this name; set destination_environment/name_suffix or rename one',
  });
}

async function domainNamed(host: Host, name: string): Promise<FoundDomain | null> {
  try {
    const domain = await findDomain(host, name, false);
    return domain.name === name ? domain : null;
  } catch (error) {
    if (error instanceof GodwitError && error.code === 'NOT_FOUND') return null;
    throw error;
  }
}

async function chooseName(host: Host, request: DeployRequest): Promise<string> {
  const plain = plainName(request);
  const names = request.test ? [`${plain}-test`, `${plain}-test-${request.key.slice(-8)}`] : [plain];
  for (const name of names) if ((await domainNamed(host, name)) === null) return name;
  throw taken(plain);
}

/** See `TargetProvider.finalizeInstance`. */
export async function finalizeInstance(
  ctx: ProviderContext,
  request: DeployRequest,
  deployed: DeployedInstance,
): Promise<InstanceInfo> {
  const host = await openHost(ctx);
  const { uuid, key, disks, replicas } = checkInput(handleSchema, deployed.handle, 'handle of an instance');
  const domain = await ownDomain(host, uuid, key);
  if (domain === null) throw new GodwitError('NOT_FOUND', `instance ${deployed.name}`);
  if (request.powerOn && !isActive(domain)) await start(host, domain, request);
  if (!request.test) {
    // From here on it is the user's: neither a failure nor the end of the deployment's record takes it away.
    for (const { id, handle } of disks === 'copy' ? replicas : []) {
      const { path, own } = copyOf(key, id, JSON.parse(JSON.stringify(handle)));
      await ctx.ledger.made(await ctx.ledger.intend('disk', path, own, 'forever'));
    }
    await ctx.ledger.made(await ctx.ledger.intend('instance', uuid, deployed.handle, 'forever'));
  }
  return describeInstance(host, await findDomain(host, uuid));
}

async function start(host: Host, domain: FoundDomain, request: DeployRequest): Promise<void> {
  const first = await host.virsh.attempt(['start', domain.uuid], { timeoutMs: 180_000 });
  if (first.code === 0 || isActive(await findDomain(host, domain.uuid))) return;
  const choice = destinationEnvironment(request).virtualization ?? 'auto';
  if (domain.type !== 'kvm' || choice !== 'auto')
    throw virshError(first.stderr, `instance ${domain.name}`, host.ctx.endpoint);
  // A host that offers KVM may yet be unable to run it: nested virtualization that is not there.
  host.ctx.progress(`${domain.name} does not start with KVM; it is started with emulation, which is slow`);
  const text = domain.text
    .replace(/<domain type='kvm'/, "<domain type='qemu'")
    .replace(/<cpu mode='host-model'[^>]*?(\/>|>)/, "<cpu mode='maximum'$1");
  await host.virsh.withFile(text, (file) => host.virsh.run(`instance ${domain.name}`, 'define', file));
  const second = await host.virsh.attempt(['start', domain.uuid], { timeoutMs: 180_000 });
  if (second.code !== 0) throw virshError(second.stderr, `instance ${domain.name}`, host.ctx.endpoint);
}

/** See `TargetProvider.removeInstance`. Replica disks that it took stay replica disks. */
export async function removeInstance(ctx: ProviderContext, deployed: DeployedInstance): Promise<void> {
  await removeDeployed(await openHost(ctx), deployed.handle);
}

/** Removes what a handle of an instance names, as far as it carries our mark. */
export async function removeDeployed(host: Host, handle: JsonObject): Promise<void> {
  const { uuid, key, disks, nvram, replicas } = checkInput(handleSchema, handle, 'handle of an instance');
  checkKey(key);
  const domain = await ownDomain(host, uuid, key);
  if (domain !== null) await undefine(host, domain);
  for (const { id, handle: of } of replicas) {
    const replica = replicaOf(id, JSON.parse(JSON.stringify(of)));
    if (disks === 'overlay') await dropClone(host, replica, key);
    if (disks !== 'copy') continue;
    const name = replicaName(key, id, replica.format);
    const folder = posix.dirname(replica.path);
    await host.files.remove(folder, [name, `${name}.new`]);
    await host.ctx.ledger.removed('disk', posix.join(folder, name));
  }
  if (nvram !== null) {
    const name = posix.basename(nvram);
    if (!name.startsWith(PREFIX))
      throw new GodwitError('FORBIDDEN', 'firmware variables', { reason: `${nvram} is not ours` });
    await host.files.remove(posix.dirname(nvram), [name, `${name}.new`]);
  }
  if (disks === 'overlay') await removeTestNetwork(host, key);
  await host.ctx.ledger.removed('instance', uuid);
}

async function undefine(host: Host, domain: FoundDomain): Promise<void> {
  const object = `instance ${domain.name}`;
  if (isActive(domain)) {
    const off = await host.virsh.attempt(['destroy', domain.uuid]);
    if (off.code !== 0 && !/domain is not running/i.test(off.stderr))
      throw virshError(off.stderr, object, host.ctx.endpoint);
  }
  const options = ['--managed-save', '--snapshots-metadata', '--checkpoints-metadata', '--nvram'];
  const result = await host.virsh.attempt(['undefine', domain.uuid, ...options]);
  if (result.code !== 0 && !/Domain not found|failed to get domain/i.test(result.stderr)) {
    throw virshError(result.stderr, object, host.ctx.endpoint);
  }
}
