import type { Standing } from './contender.ts';
import type { Heat, ScenarioResult, Table } from './scenario.ts';

const MIB = 1_048_576;

/** A scenario as Markdown: one table per heat, verdicts, notes. */
export function toMarkdown(result: ScenarioResult): string {
  const lines = [`### ${result.id}: ${result.title}`, ''];
  for (const heat of result.heats) lines.push(...heatTable(heat), '');
  for (const table of result.tables ?? []) lines.push(...plainTable(table), '');
  if (result.verdicts.length > 0) {
    lines.push('| target | measured | |', '|---|---|---|');
    for (const { target, measured, met } of result.verdicts) {
      lines.push(`| ${target} | ${measured} | ${met ? 'met' : '**missed**'} |`);
    }
    lines.push('');
  }
  for (const note of result.notes) lines.push(`- ${note}`);
  return `${lines.join('\n')}\n`;
}

function plainTable({ title, setting, head, rows }: Table): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [`**${title}** ${setting}`, '', line(head), `|${head.map(() => '---').join('|')}|`, ...rows.map(line)];
}

function heatTable(heat: Heat): string[] {
  const rates = heat.standings.some((standing) => standing.bytesPerSecond !== undefined);
  const wire = heat.standings.some((standing) => standing.rounds.some((round) => round.wireBytes !== undefined));
  const head = ['command', 'wall s (quartiles)', ...(rates ? ['MiB/s'] : []), 'CPU s', 'servers CPU s', 'peak MiB'];
  if (wire) head.push('wire MiB');
  return [
    `**${heat.title}** ${heat.setting}`,
    '',
    `| ${head.join(' | ')} |`,
    `|${head.map(() => '---').join('|')}|`,
    ...heat.standings.map((standing) => `| ${standingCells(standing, rates, wire).join(' | ')} |`),
  ];
}

function standingCells(standing: Standing, rates: boolean, wire: boolean): string[] {
  const { wall, cpu, rounds } = standing;
  const serverCpu = rounds.map((round) => round.serverCpu).filter((value) => value !== undefined);
  const bytes = rounds.map((round) => round.wireBytes).filter((value) => value !== undefined);
  const name = standing.side === 'product' ? `**${standing.name}**` : standing.name;
  return [
    name,
    `${wall.median.toFixed(2)} (${wall.quartiles.map((value) => value.toFixed(2)).join('..')})`,
    ...(rates ? [standing.bytesPerSecond === undefined ? '' : (standing.bytesPerSecond / MIB).toFixed(0)] : []),
    cpu.median.toFixed(2),
    serverCpu.length === 0 ? '' : median(serverCpu).toFixed(2),
    standing.peakBytes === 0 ? '' : (standing.peakBytes / MIB).toFixed(0),
    ...(wire ? [bytes.length === 0 ? '' : (median(bytes) / MIB).toFixed(1)] : []),
  ];
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
