import { endpointFields, instancesCell, mappingFields } from '../action-view.ts';
import { type Api, type ApiObject, objectOf, textAt } from '../api.ts';
import { cell, type Row } from '../cell.ts';
import type { CliContext } from '../context.ts';
import { executionDetail } from '../execution-view.ts';
import type { ShowFlags, WaitFlags } from '../flags.ts';
import { followExecution } from '../follow.ts';
import { printObject } from '../print.ts';
import { formatRate } from '../quantity.ts';

/** How much is looked at beyond what is known to have changed. */
export interface ProofFlags {
  verify?: 'changed' | 'whole';
  audit?: 'sample' | 'whole';
}

export const proofFlags = {
  verify: {
    kind: 'enum',
    values: ['changed', 'whole'],
    optional: true,
    brief: 'How much of the destination is read again and proven; default changed, whole with --shutdown-instances',
  },
  audit: {
    kind: 'enum',
    values: ['sample', 'whole'],
    optional: true,
    brief: 'How much of what is said to be unchanged is compared; default sample, whole with --shutdown-instances',
  },
} as const;

/** Their part of a body. */
export function proofBody({ verify, audit }: ProofFlags): ApiObject {
  return { ...(verify === undefined ? {} : { verify }), ...(audit === undefined ? {} : { audit }) };
}

/** Follows an execution that was just started, if asked, then prints it as it is. */
export async function finishExecution(
  context: CliContext,
  api: Api,
  flags: ShowFlags & WaitFlags,
  transferId: string,
  execution: ApiObject,
): Promise<void> {
  const executionId = textAt(execution, 'id');
  if (!flags.wait) {
    await printObject(context, flags, executionDetail(execution));
    return;
  }
  if (!(await followExecution(context, api, { kind: 'transfer', actionId: transferId, executionId }))) return;
  const answer = await api.get(`/transfers/${transferId}/executions/${executionId}`);
  await printObject(context, flags, executionDetail(objectOf(answer, 'execution')));
}

/** A transfer as `show` prints it. */
export function transferDetail(transfer: ApiObject, executions: readonly ApiObject[]): Row {
  const oldestFirst = [...executions].sort((a, b) => textAt(a, 'created_at').localeCompare(textAt(b, 'created_at')));
  return {
    id: transfer.id ?? null,
    created: transfer.created_at ?? null,
    last_updated: transfer.updated_at ?? null,
    scenario_type: transfer.scenario ?? '',
    reservation_id: transfer.reservation_id ?? null,
    instances: instancesCell(transfer),
    notes: transfer.notes ?? null,
    ...endpointFields(transfer),
    ...mappingFields(transfer),
    clone_disks: transfer.clone_disks ?? null,
    skip_os_morphing: transfer.skip_os_morphing ?? null,
    options: optionsCell(objectOf(transfer, 'options')),
    executions: cell(
      oldestFirst.map((execution) => ({ id: execution.id ?? null, status: execution.status ?? null })),
      oldestFirst.map((execution) => `${textAt(execution, 'id')} ${textAt(execution, 'status')}`).join('\n'),
    ),
  };
}

/** Limits and proof of a transfer, one per line for people. */
function optionsCell(options: ApiObject) {
  const lines = Object.entries(options).map(
    ([name, value]) => `${name}: ${typeof value === 'number' ? formatRate(value) : String(value)}`,
  );
  return cell(options, lines.join('\n'));
}
