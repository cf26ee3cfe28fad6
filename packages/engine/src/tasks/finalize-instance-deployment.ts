import { whileDatabaseIsAway } from '../database-retry.ts';
import { handOver } from '../hand-over.ts';
import type { TaskContext } from '../task-context.ts';
import { deployRequest, note, recall } from './blackboard.ts';

/** Boots the instance, tells what it has become, and (except for a test failover) lets it go. */
export default async function finalizeInstanceDeployment(context: TaskContext) {
  const { deployment, retry, task, worker } = context;
  const { context: call, target } = await context.target();
  const became = await target.finalizeInstance(call, deployRequest(context), recall(context, 'deployed'));
  await worker.reach('FINALIZE_INSTANCE_DEPLOYMENT:booted');
  if (deployment !== null && !deployment.test) {
    await whileDatabaseIsAway(retry, () =>
      handOver(worker.db, deployment, task.instance, recall(context, 'export_info')),
    );
  }
  context.say(`${became.name} ${became.running ? 'runs' : 'is ready'} at the target`);
  return note({ transfer_result: became });
}
