import type { Godwit } from './godwit.ts';

interface ReceiptRow {
  id: string;
  disk: string;
  result: string;
}

/** The fields of a receipt that the table shows (docs/receipt.md). */
interface Receipt {
  disk: string;
  size: number;
  execution_number: number;
  bytes_read: number;
  bytes_sent: number;
  bytes_skipped: number;
  verify: string;
}

/** Bytes in the largest unit that leaves a number below 1024. */
export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** A grid of cells, columns as wide as their widest cell. */
export function grid(head: string[], rows: string[][]): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)));
  const rule = `+${widths.map((width) => '-'.repeat(width + 2)).join('+')}+`;
  const line = (cells: string[]) =>
    `|${cells.map((cell, column) => ` ${cell.padEnd(widths[column] ?? 0)} `).join('|')}|`;
  return [rule, line(head), rule, ...rows.map(line), rule].join('\n');
}

/** What moved: one line per execution and disk, from the signed receipts. */
export async function summary(godwit: Godwit, transfer: string, seconds: number[]): Promise<string> {
  const listed = await godwit.list<Record<string, string>[]>('receipt', 'list', '--transfer', transfer);
  const rows: ReceiptRow[] = listed.map((row) => ({
    id: row.ID ?? '',
    disk: row.Disk ?? '',
    result: row.Result ?? '',
  }));
  const lines: { number: number; disk: string; cells: string[] }[] = [];
  for (const row of rows) {
    const receipt = await godwit.list<Receipt>('receipt', 'show', row.id);
    const number = receipt.execution_number;
    lines.push({
      number,
      disk: receipt.disk,
      cells: [
        String(number),
        receipt.disk,
        bytes(receipt.size),
        bytes(receipt.bytes_read),
        bytes(receipt.bytes_sent),
        bytes(receipt.bytes_skipped),
        (seconds[number - 1] ?? 0).toFixed(1),
        `${row.result} (${receipt.verify})`,
        row.id,
      ],
    });
  }
  lines.sort((a, b) => a.number - b.number || a.disk.localeCompare(b.disk));
  const head = ['Run', 'Disk', 'Size', 'Read', 'Sent', 'Skipped', 'Seconds', 'Target re-read', 'Receipt'];
  return grid(
    head,
    lines.map((line) => line.cells),
  );
}
