import { buildCommand, buildRouteMap } from '@stricli/core';
import { listOf, objectOf } from '../api.ts';
import type { CliContext } from '../context.ts';
import { EXECUTION_COLUMNS, executionDetail, executionRow } from '../execution-view.ts';
import {
  args,
  docs,
  idArgument,
  type ListFlags,
  listFlags,
  outputAliases,
  type PagingFlags,
  pagingFlags,
  pagingQuery,
  type ShowFlags,
  showFlags,
  toggle,
  type WaitFlags,
  waitFlags,
} from '../flags.ts';
import { followExecution } from '../follow.ts';
import { printList, printObject, requirePrintable } from '../print.ts';

const transfer = idArgument('TRANSFER', 'Id of the transfer');
const execution = idArgument('EXECUTION', 'Id of the execution');

const list = buildCommand<ListFlags & PagingFlags, [string], CliContext>({
  docs: docs('List the executions of a transfer', ['godwit transfer execution list 2c9e...']),
  parameters: {
    flags: { ...pagingFlags('executions'), ...listFlags },
    aliases: outputAliases,
    positional: args(transfer),
  },
  async func(flags, transferId) {
    const query = pagingQuery(flags);
    const api = await this.connect();
    const answer = await api.get(`/transfers/${transferId}/executions`, query);
    await printList(this, flags, EXECUTION_COLUMNS, listOf(answer, 'executions').map(executionRow));
  },
});

const show = buildCommand<ShowFlags & WaitFlags, [string, string], CliContext>({
  docs: docs('Show an execution with its tasks', [
    'godwit transfer execution show 2c9e... 81d0...',
    'godwit transfer execution show 2c9e... 81d0... --wait',
  ]),
  parameters: {
    flags: { ...waitFlags, ...showFlags },
    aliases: outputAliases,
    positional: args(transfer, execution),
  },
  async func(flags, transferId, executionId) {
    requirePrintable(flags, executionDetail({}));
    const api = await this.connect();
    const path = `/transfers/${transferId}/executions/${executionId}`;
    if (flags.wait && !(await followExecution(this, api, { kind: 'transfer', actionId: transferId, executionId })))
      return;
    await printObject(this, flags, executionDetail(objectOf(await api.get(path), 'execution')));
  },
});

const cancel = buildCommand<WaitFlags & { force: boolean }, [string, string], CliContext>({
  docs: docs(
    'Cancel a running execution',
    ['godwit transfer execution cancel 2c9e... 81d0... --wait'],
    'Finished bytes are kept: the next execution goes on from them. --force does not wait for running steps.',
  ),
  parameters: {
    flags: { force: toggle('Do not wait for running steps'), ...waitFlags },
    positional: args(transfer, execution),
  },
  async func(flags, transferId, executionId) {
    const api = await this.connect();
    await api.post(`/transfers/${transferId}/executions/${executionId}/actions`, { cancel: { force: flags.force } });
    if (!flags.wait) return;
    await followExecution(this, api, { kind: 'transfer', actionId: transferId, executionId, expect: 'CANCELED' });
  },
});

const remove = buildCommand<Record<never, never>, [string, string], CliContext>({
  docs: docs('Delete the record of a finished execution', ['godwit transfer execution delete 2c9e... 81d0...']),
  parameters: { positional: args(transfer, execution) },
  async func(_flags, transferId, executionId) {
    const api = await this.connect();
    await api.delete(`/transfers/${transferId}/executions/${executionId}`);
  },
});

export const executionRoutes = buildRouteMap({
  docs: { brief: 'Runs of a transfer' },
  routes: { list, show, cancel, delete: remove },
});
