import { buildCommand, buildRouteMap } from '@stricli/core';
import { type ApiObject, listOf, objectOf } from '../api.ts';
import { cell, type Row } from '../cell.ts';
import type { CliContext } from '../context.ts';
import {
  args,
  docs,
  either,
  idArgument,
  type ListFlags,
  listFlags,
  outputAliases,
  type ShowFlags,
  showFlags,
  text,
  toggle,
  wholeNumber,
} from '../flags.ts';
import { byCreation } from '../lookup.ts';
import { printList, printObject, requirePrintable } from '../print.ts';
import { UsageError } from '../usage-error.ts';

interface RuleFlags {
  minute?: number;
  hour?: number;
  dayOfMonth?: number;
  month?: number;
  dayOfWeek?: number;
  cron?: string;
  timezone?: string;
}

const number = (brief: string) =>
  ({ kind: 'parsed', parse: wholeNumber, optional: true, placeholder: 'NUMBER', brief }) as const;

const ruleFlags = {
  minute: number('Minute, 0 to 59, UTC'),
  hour: number('Hour, 0 to 23, UTC'),
  dayOfMonth: number('Day of the month, 1 to 31'),
  month: number('Month, 1 to 12'),
  dayOfWeek: number('Day of the week, 0 (Monday) to 6'),
  cron: text('Instead of these: five fields of cron', 'FIELDS'),
  timezone: text('Zone that --cron is read in, Europe/Berlin for one; default UTC', 'ZONE'),
};

const ruleAliases = { M: 'minute', H: 'hour', d: 'dayOfMonth', m: 'month', w: 'dayOfWeek' } as const;

/** Undefined when no field was given. */
function ruleOf(flags: RuleFlags): ApiObject | undefined {
  const { minute, hour, dayOfMonth: dom, month, dayOfWeek: dow, cron, timezone } = flags;
  const given = Object.entries({ minute, hour, dom, month, dow, cron, timezone }).filter(
    ([, value]) => value !== undefined,
  );
  return given.length === 0 ? undefined : (Object.fromEntries(given) as ApiObject);
}

const transfer = idArgument('TRANSFER', 'Id of the transfer');
const schedule = idArgument('SCHEDULE', 'Id of the schedule');

const create = buildCommand<
  ShowFlags & RuleFlags & { expiresAt?: string; disabled: boolean; shutdownInstance: boolean; autoDeploy: boolean },
  [string],
  CliContext
>({
  docs: docs('Run a transfer by the clock', [
    'godwit transfer schedule create 2c9e... -H 2 -M 30',
    'godwit transfer schedule create 2c9e... --cron "*/15 8-18 * * mon-fri" --timezone Europe/Berlin',
  ]),
  parameters: {
    flags: {
      ...ruleFlags,
      expiresAt: text('From then on it never fires: 2027-01-31T00:00:00Z', 'TIME'),
      disabled: toggle('It does not fire until it is enabled'),
      shutdownInstance: toggle('Stop the instances first'),
      autoDeploy: toggle('Deploy when it has completed'),
      ...showFlags,
    },
    aliases: { ...outputAliases, ...ruleAliases },
    positional: args(transfer),
  },
  async func(flags, id) {
    requirePrintable(flags, detail({}));
    const rule = ruleOf(flags);
    if (rule === undefined) throw new UsageError('Say when: at least one of -M, -H, -d, -m, -w, or --cron.');
    const api = await this.connect();
    const answer = await api.post(`/transfers/${id}/schedules`, {
      schedule: rule,
      enabled: !flags.disabled,
      shutdown_instance: flags.shutdownInstance,
      auto_deploy: flags.autoDeploy,
      ...(flags.expiresAt === undefined ? {} : { expiration_date: flags.expiresAt }),
    });
    await printObject(this, flags, detail(objectOf(answer, 'schedule')));
  },
});

const update = buildCommand<
  ShowFlags &
    RuleFlags & {
      expiresAt?: string;
      noExpirationDate: boolean;
      enabled: boolean;
      disabled: boolean;
      shutdownInstance: boolean;
      dontShutdownInstance: boolean;
      autoDeploy: boolean;
      dontAutoDeploy: boolean;
    },
  [string, string],
  CliContext
>({
  docs: docs(
    'Change a schedule',
    ['godwit transfer schedule update 2c9e... 77ab... --disabled'],
    'Fields of the time, when any is given, replace all it had. What is not named stays.',
  ),
  parameters: {
    flags: {
      ...ruleFlags,
      expiresAt: text('From then on it never fires', 'TIME'),
      noExpirationDate: toggle('It never expires'),
      enabled: toggle('It fires'),
      disabled: toggle('It does not'),
      shutdownInstance: toggle('Stop the instances first'),
      dontShutdownInstance: toggle('Do not'),
      autoDeploy: toggle('Deploy when it has completed'),
      dontAutoDeploy: toggle('Do not'),
      ...showFlags,
    },
    aliases: { ...outputAliases, ...ruleAliases },
    positional: args(transfer, schedule),
  },
  async func(flags, id, scheduleId) {
    requirePrintable(flags, detail({}));
    if (flags.expiresAt !== undefined && flags.noExpirationDate) {
      throw new UsageError('--expires-at and --no-expiration-date exclude each other.');
    }
    const changes: Record<string, ApiObject[string] | undefined> = {
      schedule: ruleOf(flags),
      expiration_date: flags.noExpirationDate ? null : flags.expiresAt,
      enabled: either(flags.enabled, flags.disabled, '--enabled and --disabled'),
      shutdown_instance: either(
        flags.shutdownInstance,
        flags.dontShutdownInstance,
        '--shutdown-instance and --dont-shutdown-instance',
      ),
      auto_deploy: either(flags.autoDeploy, flags.dontAutoDeploy, '--auto-deploy and --dont-auto-deploy'),
    };
    const body = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined)) as ApiObject;
    if (Object.keys(body).length === 0) throw new UsageError('Nothing to change was given.');
    const api = await this.connect();
    const answer = await api.put(`/transfers/${id}/schedules/${scheduleId}`, body);
    await printObject(this, flags, detail(objectOf(answer, 'schedule')));
  },
});

const COLUMNS = ['ID', 'Schedule', 'Expires', 'Enabled', 'Shutdown Instance', 'Auto Deploy'];

const list = buildCommand<ListFlags & { hideExpired: boolean }, [string], CliContext>({
  docs: docs('List the schedules of a transfer', ['godwit transfer schedule list 2c9e...']),
  parameters: {
    flags: { hideExpired: toggle('Leave out those that have expired'), ...listFlags },
    aliases: outputAliases,
    positional: args(transfer),
  },
  async func(flags, id) {
    const api = await this.connect();
    const answer = await api.get(`/transfers/${id}/schedules`, flags.hideExpired ? { show_expired: false } : {});
    await printList(this, flags, COLUMNS, byCreation(listOf(answer, 'schedules')).map(row));
  },
});

const show = buildCommand<ShowFlags, [string, string], CliContext>({
  docs: docs('Show a schedule', ['godwit transfer schedule show 2c9e... 77ab...']),
  parameters: { flags: showFlags, aliases: outputAliases, positional: args(transfer, schedule) },
  async func(flags, id, scheduleId) {
    const api = await this.connect();
    const answer = await api.get(`/transfers/${id}/schedules/${scheduleId}`);
    await printObject(this, flags, detail(objectOf(answer, 'schedule')));
  },
});

const remove = buildCommand<Record<never, never>, [string, string], CliContext>({
  docs: docs('Delete a schedule', ['godwit transfer schedule delete 2c9e... 77ab...']),
  parameters: { positional: args(transfer, schedule) },
  async func(_flags, id, scheduleId) {
    const api = await this.connect();
    await api.delete(`/transfers/${id}/schedules/${scheduleId}`);
  },
});

export const scheduleRoutes = buildRouteMap({
  docs: { brief: 'Runs by the clock' },
  routes: { create, list, show, update, delete: remove },
});

const ruleCell = (object: ApiObject) => {
  const rule = objectOf(object, 'schedule');
  return cell(
    rule,
    Object.entries(rule)
      .map(([name, value]) => `${name}: ${String(value)}`)
      .join('\n'),
  );
};

function row(object: ApiObject): Row {
  return {
    ID: object.id ?? null,
    Schedule: ruleCell(object),
    Expires: object.expiration_date ?? null,
    Enabled: object.enabled ?? null,
    'Shutdown Instance': object.shutdown_instance ?? null,
    'Auto Deploy': object.auto_deploy ?? null,
  };
}

function detail(object: ApiObject): Row {
  return {
    id: object.id ?? null,
    transfer_id: object.transfer_id ?? null,
    schedule: ruleCell(object),
    created: object.created_at ?? null,
    last_updated: object.updated_at ?? null,
    enabled: object.enabled ?? null,
    expires: object.expiration_date ?? null,
    shutdown_instance: object.shutdown_instance ?? null,
    auto_deploy: object.auto_deploy ?? null,
  };
}
