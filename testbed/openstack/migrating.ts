import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Execution, Installation } from '../spine/installation.ts';
import type { Credentials } from './cloud-api.ts';
import { difference, type Listing } from './listing.ts';

/** Connection of an OpenStack endpoint. */
export function connectionOf(credentials: Credentials): Record<string, string> {
  return {
    auth_url: credentials.authUrl,
    username: credentials.user,
    password: credentials.password,
    user_domain_name: credentials.domain,
    project_name: credentials.project,
    project_domain_name: credentials.domain,
    region_name: credentials.region,
  };
}

/** Minions from the testbed's guest, reached by floating addresses; `minion_network` is the tenant's own. */
export const minionEnvironment = {
  data_path: 'minion',
  minion_image: 'guest',
  minion_flavor: 'm1.micro',
  minion_floating_network: 'public',
  minion_user: 'root',
};

/** The fields of a receipt that tests read. */
export interface Receipt {
  id: string;
  disk_id: string;
  result: string;
  bytes_sent: number;
  /** As the server gives it, to be checked. */
  document: string;
}

/** The receipts of the execution at `route`. */
export async function receiptsOf(godwit: Installation, route: string): Promise<Receipt[]> {
  const execution = route.split('/').at(-1);
  const list = await godwit.get<Receipt[]>('GET', `/receipts?execution_id=${execution}`, 'receipts');
  return Promise.all(
    list.map(async ({ id, disk_id }) => {
      const body = (await godwit.request('GET', `/receipts/${id}`)).body as unknown as Receipt;
      return { id, disk_id, result: body.result, bytes_sent: body.bytes_sent, document: JSON.stringify(body) };
    }),
  );
}

/** Writes a receipt and the key that signed it, as `godwit receipt save` does. */
export async function saveReceipt(godwit: Installation, receipt: Receipt, file: string): Promise<void> {
  const { key_id } = JSON.parse(receipt.document) as { key_id: string };
  const key = await godwit.get<{ public_key: string }>('GET', `/receipts/keys/${key_id}`, 'key');
  writeFileSync(file, receipt.document);
  writeFileSync(`${file}.key`, key.public_key);
}

interface CopyTask {
  task_type: string;
  status: string;
  exception_details: string | null;
  progress_updates: { message: string; disk: { done: number; sent: number; size: number } | null }[];
}

/** Waits until at least `bytes` of an execution were sent, or until it has ended: then it is an error. */
export async function untilCopying(godwit: Installation, route: string, bytes = 1): Promise<void> {
  for (const end = Date.now() + 900_000; Date.now() < end; await sleep(250)) {
    const execution = await godwit.get<{ status: string; tasks: CopyTask[] }>('GET', route, 'execution');
    const updates = execution.tasks
      .filter((task) => task.task_type === 'REPLICATE_DISKS')
      .flatMap((task) => task.progress_updates);
    if (updates.reduce((sum, { disk }) => sum + (disk?.sent ?? 0), 0) >= bytes) return;
    if (execution.status !== 'RUNNING') {
      const said = execution.tasks.map((task) => task.exception_details).filter((text) => text !== null);
      throw new Error(`${route} ended ${execution.status} before ${bytes} bytes were sent: ${said.join('; ')}`);
    }
  }
  throw new Error(`${route} sent nothing within 15 minutes`);
}

/** The first error of an execution: `QUOTA_EXCEEDED`, and what it says. */
export function errorOf(execution: Execution): { code: string; message: string; remedy: string } | null {
  return execution.tasks.find((task) => task.error)?.error ?? null;
}

/** Waits until the reaper is through: of what was not there before, only things of these kinds (sorted) are left. */
export async function onlyCame(
  godwit: Installation,
  before: Listing,
  list: () => Promise<Listing>,
  kinds: string[],
): Promise<void> {
  await godwit.until(
    `only ${kinds.join(', ') || 'what was there'} left`,
    async () => {
      const { came, went } = difference(before, await list());
      const seen = came.map((line) => line.split(' | ')[0] ?? '').filter((kind) => kind !== 'attachment');
      if (went.length === 0 && seen.sort().join() === kinds.join()) return true;
      throw new Error(`came: ${came.join('\n')}\nwent: ${went.join('\n')}`);
    },
    240_000,
  );
}

/** Without the lines of these kinds: `server group`. */
export function without(listing: Listing, ...kinds: string[]): Listing {
  return listing.filter((line) => !kinds.includes(line.split(' | ')[0] ?? ''));
}

/** The execution, when it completed. @throws Error with its first error */
export function completed(execution: Execution): Execution {
  if (execution.status === 'COMPLETED') return execution;
  throw new Error(`execution ${execution.id} ended ${execution.status}: ${JSON.stringify(errorOf(execution))}`);
}

/** Deploys a transfer and waits until the instance is there. */
export async function deploy(godwit: Installation, transfer: string): Promise<void> {
  const body = { deployment: { transfer_id: transfer } };
  await godwit.deployed((await godwit.get<{ id: string }>('POST', '/deployments', 'deployment', body)).id);
}

/** Deletes the replica disks of a transfer. */
export async function deleteDisks(godwit: Installation, transfer: string): Promise<void> {
  const route = `/transfers/${transfer}`;
  const body = { 'delete-disks': null };
  const { id } = await godwit.get<{ id: string }>('POST', `${route}/actions`, 'execution', body);
  completed(await godwit.ended(`${route}/executions/${id}`));
}

/** Deletes a transfer and its replica disks. */
export async function forget(godwit: Installation, transfer: string): Promise<void> {
  await deleteDisks(godwit, transfer);
  const { status } = await godwit.request('DELETE', `/transfers/${transfer}`);
  if (status !== 204) throw new Error(`DELETE of transfer ${transfer} answered ${status}`);
}
