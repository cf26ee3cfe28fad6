import { lendReplicaDisks } from '@godwit/store';
import { whileDatabaseIsAway } from '../database-retry.ts';
import type { TaskContext } from '../task-context.ts';
import { deployRequest, note } from './blackboard.ts';

/** Makes the instance at the target, powered off. */
export default async function deployInstanceResources(context: TaskContext) {
  const { context: call, target } = await context.target();
  const request = deployRequest(context);
  if (!request.clone && context.deployment !== null) {
    const { deployment, retry, task, transfer, worker } = context;
    // Before the instance can write: whatever becomes of this deployment, no copy may go by what was known of the disks.
    await whileDatabaseIsAway(retry, () => lendReplicaDisks(worker.db, transfer.id, task.instance, deployment.id));
  }
  await context.worker.reach('DEPLOY_INSTANCE_RESOURCES:lent');
  const deployed = await target.deployInstance(call, request);
  context.say(`Created instance ${deployed.name}`);
  return note({ deployed });
}
