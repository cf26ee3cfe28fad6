import { writeFileSync } from 'node:fs';
import { buildCommand, buildRouteMap } from '@stricli/core';
import { type Api, type ApiObject, listOf, objectOf, type Query, textAt } from '../api.ts';
import { type Cell, cell, type Json, type Row } from '../cell.ts';
import type { CliContext } from '../context.ts';
import { isApiError } from '../failure.ts';
import {
  args,
  docs,
  idArgument,
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

const receipt = idArgument('RECEIPT', 'Id of the receipt');

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
    await printObject(this, flags, detail(id, await api.get(`/receipts/${id}`)));
  },
});

const save = buildCommand<{ outputFile?: string }, [string], CliContext>({
  docs: docs(
    'Save a receipt, ready for "godwit verify"',
    ['godwit receipt save 9d44... --output-file vda.receipt', 'godwit verify vda.receipt --disk vda=/images/vda.raw'],
    'Writes PATH (the signed document), PATH.key (the public key to check the signature with) and PATH.leaves (32 bytes\nper 64 KiB of the disk, to name the blocks that differ). The leaves exist until the disk is changed by a later execution.',
  ),
  parameters: {
    flags: { outputFile: text('File to write; default: ID.receipt', 'PATH') },
    positional: args(receipt),
  },
  async func(flags, id) {
    const api = await this.connect();
    const document = await api.get(`/receipts/${id}`);
    const key = objectOf(await api.get(`/receipts/keys/${textAt(document, 'key_id')}`), 'key');
    const path = flags.outputFile ?? `${id}.receipt`;
    write(path, `${JSON.stringify(document, null, 2)}\n`);
    write(`${path}.key`, textAt(key, 'public_key'));
    const saved = [path, `${path}.key`];
    const leaves = await leavesOf(api, id);
    if (leaves === undefined) {
      this.warn(
        'A later execution has changed the disk: its leaves are gone, and a check cannot name differing blocks.',
      );
    } else {
      write(`${path}.leaves`, leaves);
      saved.push(`${path}.leaves`);
    }
    const disk = textAt(document, 'disk');
    this.print(
      `Saved ${saved.join(', ')}\nCheck it: godwit verify ${path} --disk ${disk === '' ? '' : `${disk}=`}PATH\n`,
    );
  },
});

export const routes = buildRouteMap<string, CliContext>({
  docs: { brief: 'Proofs that every byte arrived' },
  routes: { list, show, save },
});

/** The signed document, a field a line: what it says is its own business, and may grow. */
function detail(id: string, document: ApiObject): Row {
  const fields = Object.entries(document).map(([name, value]): [string, Json | Cell] => [
    name,
    typeof value === 'object' ? cell(value, JSON.stringify(value, null, 2)) : value,
  ]);
  return { id, ...Object.fromEntries(fields) };
}

/** The leaf table, or undefined when a later execution has changed the disk. */
async function leavesOf(api: Api, id: string): Promise<Uint8Array | undefined> {
  try {
    return await api.getBytes(`/receipts/${id}/leaves`);
  } catch (error) {
    if (isApiError(error) && error.status === 410) return undefined;
    throw error;
  }
}

function write(path: string, content: string | Uint8Array): void {
  try {
    writeFileSync(path, content);
  } catch (error) {
    throw new CommandFailure(`Cannot write ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
