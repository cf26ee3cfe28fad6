import { writeFileSync } from 'node:fs';
import { buildCommand, buildRouteMap } from '@stricli/core';
import { type ApiObject, listOf, objectOf, type Query, textAt } from '../api.ts';
import { cell, type Row } from '../cell.ts';
import type { CliContext } from '../context.ts';
import {
  args,
  argument,
  docs,
  type ListFlags,
  listFlags,
  outputAliases,
  type ShowFlags,
  showFlags,
  text,
} from '../flags.ts';
import { printList, printObject } from '../print.ts';
import { CommandFailure } from '../usage-error.ts';

const COLUMNS = ['ID', 'Instance', 'Disk', 'Result', 'Execution ID', 'Created'];

const receipt = argument('RECEIPT', 'Id of the receipt');

const list = buildCommand<ListFlags & { transfer?: string; execution?: string }, [], CliContext>({
  docs: docs('List the receipts: one per disk and execution', ['godwit receipt list --transfer 2c9e...']),
  parameters: {
    flags: {
      transfer: text('Only of this transfer', 'ID'),
      execution: text('Only of this execution', 'ID'),
      ...listFlags,
    },
    aliases: outputAliases,
  },
  async func(flags) {
    const query: Query = { transfer_id: flags.transfer, execution_id: flags.execution };
    const api = await this.connect();
    const rows = listOf(await api.get('/receipts', query), 'receipts').map(
      (item): Row => ({
        ID: item.id ?? null,
        Instance: item.instance ?? null,
        Disk: item.disk_id ?? null,
        Result: item.result ?? null,
        'Execution ID': item.execution_id ?? null,
        Created: item.created_at ?? null,
      }),
    );
    await printList(this, flags, COLUMNS, rows);
  },
});

const show = buildCommand<ShowFlags, [string], CliContext>({
  docs: docs('Show a receipt', ['godwit receipt show 9d44...', 'godwit receipt show 9d44... -f value -c source_root']),
  parameters: { flags: showFlags, aliases: outputAliases, positional: args(receipt) },
  async func(flags, id) {
    const api = await this.connect();
    const found = objectOf(await api.get(`/receipts/${id}`), 'receipt');
    await printObject(this, flags, detail(found));
  },
});

const save = buildCommand<{ outputFile?: string }, [string], CliContext>({
  docs: docs(
    'Save a receipt with its leaf table, ready for "godwit verify"',
    ['godwit receipt save 9d44... --output-file vda.receipt', 'godwit verify vda.receipt --disk vda=/images/vda.raw'],
    'Writes PATH (the signed document) and PATH.leaves (32 bytes per 64 KiB of the disk).',
  ),
  parameters: {
    flags: { outputFile: text('File to write; default: ID.receipt', 'PATH') },
    positional: args(receipt),
  },
  async func(flags, id) {
    const api = await this.connect();
    const found = objectOf(await api.get(`/receipts/${id}`), 'receipt');
    const leaves = await api.getBytes(`/receipts/${id}/leaves`);
    const path = flags.outputFile ?? `${id}.receipt`;
    try {
      writeFileSync(path, `${JSON.stringify(objectOf(found, 'document'), null, 2)}\n`);
      writeFileSync(`${path}.leaves`, leaves);
    } catch (error) {
      throw new CommandFailure(`Cannot write ${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
    this.print(
      `Saved ${path} and ${path}.leaves\nCheck it: godwit verify ${path} --disk ${textAt(found, 'disk_id')}=PATH\n`,
    );
  },
});

export const routes = buildRouteMap<string, CliContext>({
  docs: { brief: 'Proofs that every byte arrived' },
  routes: { list, show, save },
});

function detail(item: ApiObject): Row {
  const document = objectOf(item, 'document');
  return {
    id: item.id ?? null,
    instance: item.instance ?? null,
    disk_id: item.disk_id ?? null,
    result: item.result ?? null,
    transfer_id: item.transfer_id ?? null,
    execution_id: item.execution_id ?? null,
    source_root: item.source_root ?? null,
    target_root: item.target_root ?? null,
    created_at: item.created_at ?? null,
    document: cell(document, JSON.stringify(document, null, 2)),
  };
}
