import { type Api, type ApiObject, listOf, objectOf, textAt } from './api.ts';
import type { CliContext } from './context.ts';
import { mayPass, SERVER_GONE_MS } from './follow.ts';
import { visible } from './visible.ts';

/** Statuses in which nothing that was asked for is under way. */
const SETTLED = ['ALLOCATED', 'DEALLOCATED', 'ERROR', 'UNKNOWN'];
const LOOK_EVERY_MS = 1_000;

/**
 * Follows a pool until nothing is under way any more: its history goes to standard error. Sets exit code 1 when it ends in
 * anything but `expect`, 130 when the user detaches with Ctrl-C: the pool goes on then.
 *
 * @param begun the pool as the request left it
 * @returns the pool at the end; undefined when the user detached
 * @throws ApiError when the server stays away
 */
export async function followPool(
  context: CliContext,
  api: Api,
  begun: ApiObject,
  expect: string,
): Promise<ApiObject | undefined> {
  const told = new Set<string>();
  const path = `/minion_pools/${textAt(begun, 'id')}`;
  const asked = textAt(begun, 'updated_at') || textAt(begun, 'created_at');
  let detached = false;
  let wake = (): void => undefined;
  const interrupt = (): void => {
    detached = true;
    wake();
  };
  process.once('SIGINT', interrupt);
  try {
    let lastAnswer = context.now();
    for (let pool = begun; ; ) {
      for (const event of listOf(pool, 'events')) {
        const id = textAt(event, 'id');
        if (told.has(id)) continue;
        told.add(id);
        if (textAt(event, 'created_at') >= asked)
          context.warn(visible(`${textAt(event, 'level')} ${textAt(event, 'message')}`));
      }
      const status = textAt(pool, 'status');
      if (SETTLED.includes(status)) {
        if (status !== expect) context.setExitCode(1);
        return pool;
      }
      await new Promise<void>((resolve) => {
        wake = resolve;
        setTimeout(resolve, LOOK_EVERY_MS);
      });
      if (detached) break;
      try {
        pool = objectOf(await api.get(path), 'minion_pool');
        lastAnswer = context.now();
      } catch (error) {
        if (!mayPass(error) || context.now() - lastAnswer > SERVER_GONE_MS) throw error;
      }
    }
    context.warn(`Detached: it goes on without you.\nLook at it again: godwit minion pool show ${textAt(begun, 'id')}`);
    context.setExitCode(130);
    return undefined;
  } finally {
    process.removeListener('SIGINT', interrupt);
  }
}
