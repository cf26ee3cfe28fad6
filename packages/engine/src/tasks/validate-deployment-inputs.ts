import { type InstanceInfo, leftUndoneInside } from '@godwit/domain';
import { whileDatabaseIsAway } from '../database-retry.ts';
import { refuseUnfitDisks } from '../deployable.ts';
import type { TaskContext } from '../task-context.ts';
import { note, platformKey, targetRequest, transferInfo } from './blackboard.ts';

/** Takes over what the transfer knows of the instance, and refuses what cannot be built. */
export default async function validateDeploymentInputs(context: TaskContext) {
  const { retry, task, transfer, worker } = context;
  const force = context.deployment?.force === true;
  await whileDatabaseIsAway(retry, () => refuseUnfitDisks(worker.db, transfer.id, [task.instance], force));
  const info = (await transferInfo(context)).export_info as unknown as InstanceInfo;
  const { context: call, target } = await context.target();
  await target.validate(call, targetRequest(context, info, platformKey(context)));
  tellWhatIsLeftUndone(context, info);
  return note({ export_info: info });
}

function tellWhatIsLeftUndone({ deployment, log, say, task }: TaskContext, info: InstanceInfo): void {
  if (deployment === null) return;
  for (const line of leftUndoneInside(deployment, task.instance, info.os_type)) {
    say(line);
    log.warn(line);
  }
}
