import { GodwitError, type InstanceInfo } from '@godwit/domain';
import type { TaskContext } from '../task-context.ts';
import { note, platformKey, replicaDisks, targetRequest, transferInfo } from './blackboard.ts';

/** Takes over what the transfer knows of the instance, and refuses what cannot be built. */
export default async function validateDeploymentInputs(context: TaskContext) {
  const { task, transfer } = context;
  const info = (await transferInfo(context)).export_info as unknown as InstanceInfo | undefined;
  const disks = await replicaDisks(context);
  if (info === undefined || disks.length === 0) {
    throw new GodwitError('BAD_REQUEST', `transfer ${transfer.id}`, {
      reason: `instance ${task.instance} has no transferred disks; execute the transfer first`,
    });
  }
  const { context: call, target } = await context.target();
  await target.validate(call, targetRequest(context, info, platformKey(context)));
  return note({ export_info: info });
}
