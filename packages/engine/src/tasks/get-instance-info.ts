import type { InstanceInfo } from '@godwit/domain';
import type { TaskContext } from '../task-context.ts';
import { note, recallMaybe } from './blackboard.ts';

/** Asks the source what the instance is; what only a running guest can tell is kept from earlier runs. */
export default async function getInstanceInfo(context: TaskContext) {
  const { context: call, provider } = await context.source();
  const { instance } = context.task;
  const found = await provider.getInstance(call, instance, context.transfer.source_environment);
  context.say(`Found ${found.name}: ${found.devices.disks.length} disk(s), ${found.devices.nics.length} NIC(s)`);
  const info = rememberGuest(found, recallMaybe(context, 'export_info'));
  // Seen with settings that may yet be refused: not what deployments build on.
  return note(context.execution.type === 'transfer_update' ? { update_info: info } : { export_info: info });
}

/** Addresses and host name vanish from the description when a guest is stopped; the deployment still wants them. */
function rememberGuest(found: InstanceInfo, before: InstanceInfo | undefined): InstanceInfo {
  if (before === undefined) return found;
  const nics = found.devices.nics.map((nic) => {
    const old = before.devices.nics.find((one) => one.id === nic.id);
    const known = nic.ip_addresses !== undefined && nic.ip_addresses.length > 0;
    return known || old?.ip_addresses === undefined ? nic : { ...nic, ip_addresses: old.ip_addresses };
  });
  return { ...found, hostname: found.hostname ?? before.hostname, devices: { ...found.devices, nics } };
}
