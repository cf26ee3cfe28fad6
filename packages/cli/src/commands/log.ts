import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { buildCommand, buildRouteMap } from '@stricli/core';
import { textAt } from '../api.ts';
import type { CliContext } from '../context.ts';
import { args, argument, docs, type ListFlags, listFlags, outputAliases, text } from '../flags.ts';
import { printList } from '../print.ts';
import { CommandFailure, suggestion, UsageError } from '../usage-error.ts';
import { visibleLine } from '../visible.ts';

const SEVERITIES = ['EMERGENCY', 'ALERT', 'CRITICAL', 'ERROR', 'WARNING', 'NOTICE', 'INFO', 'DEBUG'] as const;

const list = buildCommand<ListFlags, [], CliContext>({
  docs: docs('List the logs', ['godwit log list'], 'Logs are for administrators.'),
  parameters: { flags: listFlags, aliases: outputAliases },
  async func(flags) {
    const names = await (await this.connectLogs()).names();
    await printList(
      this,
      flags,
      ['Log name'],
      names.map((name) => ({ 'Log name': name })),
    );
  },
});

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 };

/** Seconds since 1970 of a moment, or of as long ago as a period. */
function secondsOf(moment: string, option: string, now: number): number {
  const period = /^(\d+)([smhdw])$/.exec(moment);
  if (period !== null) return Math.floor(now / 1_000) - Number(period[1]) * UNITS[period[2]!]!;
  const seconds = /^\d+$/.test(moment) ? Number(moment) : Date.parse(moment) / 1_000;
  if (Number.isFinite(seconds)) return Math.floor(seconds);
  throw new UsageError(`${option} must be a period (30m, 2h, 1d), a date, or seconds since 1970; not "${moment}".`);
}

const download = buildCommand<{ outFile?: string; startTime?: string; endTime?: string }, [string], CliContext>({
  docs: docs('Print a log or save it, oldest line first', [
    'godwit log download worker --start-time 2h',
    'godwit log download api --out-file api.log',
  ]),
  parameters: {
    flags: {
      outFile: text('File to write; default: standard output', 'PATH'),
      startTime: text('From then on: seconds since 1970, a date, or how long ago: 30m, 2h, 1d', 'TIME'),
      endTime: text('Up to then', 'TIME'),
    },
    positional: args(argument('LOG', 'Name of the log')),
  },
  async func({ outFile, startTime, endTime }, name) {
    const query = {
      ...(startTime !== undefined && { start_date: secondsOf(startTime, '--start-time', this.now()) }),
      ...(endTime !== undefined && { end_date: secondsOf(endTime, '--end-time', this.now()) }),
    };
    const content = await (await this.connectLogs()).content(name, query);
    if (outFile !== undefined) {
      await pipeline(Readable.from(content), createWriteStream(outFile));
      return;
    }
    const decoder = new TextDecoder();
    for await (const bytes of content) this.print(decoder.decode(bytes, { stream: true }));
  },
});

const stream = buildCommand<{ logName?: string; severity: (typeof SEVERITIES)[number] }, [], CliContext>({
  docs: docs('Print what is logged as it comes, until Ctrl-C', [
    'godwit log stream',
    'godwit log stream --log-name worker --severity WARNING',
  ]),
  parameters: {
    flags: {
      logName: text('Only this log', 'LOG'),
      severity: { kind: 'enum', values: SEVERITIES, default: 'INFO', brief: 'Nothing that is less grave' },
    },
  },
  async func({ logName, severity }) {
    const logs = await this.connectLogs();
    if (logName !== undefined) {
      const names = await logs.names();
      // The server would wait for one of that name for ever.
      if (!names.includes(logName)) {
        throw new CommandFailure(
          `There is no log "${logName}".${suggestion(logName, names)}`,
          `See "godwit log list".`,
        );
      }
    }
    const stop = new AbortController();
    const interrupt = (): void => stop.abort();
    process.once('SIGINT', interrupt);
    try {
      const query = { severity: SEVERITIES.indexOf(severity), ...(logName === undefined ? {} : { app_name: logName }) };
      for await (const message of logs.follow(query, stop.signal)) {
        this.print(`${visibleLine(`${textAt(message, 'app_name')} ${textAt(message, 'message')}`)}\n`);
      }
    } finally {
      process.removeListener('SIGINT', interrupt);
    }
  },
});

export const routes = buildRouteMap<string, CliContext>({
  docs: { brief: 'What the processes of Godwit log' },
  routes: { list, download, stream },
});
