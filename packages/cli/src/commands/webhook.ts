import { buildCommand, buildRouteMap } from '@stricli/core';
import { type ApiObject, listOf, objectOf, textAt } from '../api.ts';
import { cell, type Row } from '../cell.ts';
import type { CliContext } from '../context.ts';
import {
  args,
  argument,
  docs,
  either,
  idArgument,
  type ListFlags,
  listFlags,
  outputAliases,
  requiredText,
  type ShowFlags,
  showFlags,
  text,
  toggle,
  wholeNumber,
} from '../flags.ts';
import { readText } from '../json-option.ts';
import { webhookId } from '../lookup.ts';
import { printList, printObject, requirePrintable } from '../print.ts';
import { UsageError } from '../usage-error.ts';
import { commandsOf, inApi } from './noun.ts';

const EVENTS = {
  kind: 'parsed',
  parse: String,
  variadic: true,
  optional: true,
  placeholder: 'TYPE',
  brief:
    'Type of event, or its first word: execution, deployment, schedule.fired; may be repeated. Default: all but those of tasks and progress',
} as const;

const STATUS = {
  kind: 'parsed',
  parse: String,
  variadic: true,
  optional: true,
  placeholder: 'STATUS',
  brief: 'Of events that tell a status, only those that tell this one: ERROR, COMPLETED; may be repeated. Default: all',
} as const;

const webhook = argument('WEBHOOK', 'Id or name of the webhook');

const create = buildCommand<
  ShowFlags & {
    url: string;
    event?: readonly string[];
    status?: readonly string[];
    secretFile?: string;
    project?: string;
    disabled: boolean;
  },
  [string],
  CliContext
>({
  docs: docs(
    'Have events sent to a URL',
    [
      'godwit webhook create pager --url https://hooks.example.org/godwit --event execution --status ERROR',
      'godwit webhook create wiki --url https://wiki.example.org/in --event deployment --event schedule.refused',
    ],
    'The secret that signatures are checked with is printed once, unless you give your own.',
  ),
  parameters: {
    flags: {
      url: requiredText('Where to: http or https', 'URL'),
      event: EVENTS,
      status: STATUS,
      secretFile: text('File that holds the secret, whsec_...; - is standard input. Default: one is made', 'PATH'),
      project: text('Id of the project whose events are sent; default: your own', 'PROJECT'),
      disabled: toggle('Nothing is sent until it is enabled'),
      ...showFlags,
    },
    aliases: outputAliases,
    positional: args(argument('NAME', 'Name')),
  },
  async func(flags, name) {
    requirePrintable(flags, { ...detail({}), secret: null });
    const secret =
      flags.secretFile === undefined
        ? undefined
        : (flags.secretFile === '-' ? await this.readStdin() : readText(flags.secretFile, '--secret-file')).trim();
    const body: ApiObject = {
      name,
      url: flags.url,
      events: [...(flags.event ?? [])],
      statuses: [...(flags.status ?? [])],
      enabled: !flags.disabled,
      ...(secret === undefined ? {} : { secret }),
      ...(flags.project === undefined ? {} : { project_id: flags.project }),
    };
    const api = await this.connect();
    const made = objectOf(await api.post('/webhooks', { webhook: body }), 'webhook');
    await printObject(this, flags, { ...detail(made), secret: made.secret ?? null });
  },
});

const update = buildCommand<
  ShowFlags & {
    name?: string;
    url?: string;
    event?: readonly string[];
    allEvents: boolean;
    status?: readonly string[];
    allStatuses: boolean;
    enabled: boolean;
    disabled: boolean;
  },
  [string],
  CliContext
>({
  docs: docs(
    'Change a webhook',
    ['godwit webhook update pager --disabled', 'godwit webhook update pager --event execution'],
    'What happens while it is disabled is not made up for.',
  ),
  parameters: {
    flags: {
      name: text('New name', 'NAME'),
      url: text('New URL', 'URL'),
      event: { ...EVENTS, brief: 'Type of event, or its first word; replaces all it had; may be repeated' },
      allEvents: toggle('All but those of tasks and progress'),
      status: { ...STATUS, brief: 'Only events that tell this status; replaces all it had; may be repeated' },
      allStatuses: toggle('Whatever status they tell'),
      enabled: toggle('It is told'),
      disabled: toggle('It is not'),
      ...showFlags,
    },
    aliases: outputAliases,
    positional: args(webhook),
  },
  async func(flags, idOrName) {
    requirePrintable(flags, detail({}));
    if (flags.event !== undefined && flags.allEvents)
      throw new UsageError('--event and --all-events exclude each other.');
    if (flags.status !== undefined && flags.allStatuses)
      throw new UsageError('--status and --all-statuses exclude each other.');
    const enabled = either(flags.enabled, flags.disabled, '--enabled and --disabled');
    const events = flags.allEvents ? [] : flags.event;
    const statuses = flags.allStatuses ? [] : flags.status;
    const body: ApiObject = {
      ...(flags.name === undefined ? {} : { name: flags.name }),
      ...(flags.url === undefined ? {} : { url: flags.url }),
      ...(events === undefined ? {} : { events: [...events] }),
      ...(statuses === undefined ? {} : { statuses: [...statuses] }),
      ...(enabled === undefined ? {} : { enabled }),
    };
    if (Object.keys(body).length === 0) throw new UsageError('Nothing to change was given.');
    const api = await this.connect();
    const answer = await api.put(`/webhooks/${await webhookId(api, idOrName)}`, { webhook: body });
    await printObject(this, flags, detail(objectOf(answer, 'webhook')));
  },
});

const {
  list,
  show,
  delete: remove,
} = commandsOf({
  place: inApi('webhook', webhookId),
  argument: webhook,
  columns: ['ID', 'Name', 'URL', 'Events', 'Enabled'],
  row,
  detail,
  list: docs('List the webhooks', ['godwit webhook list']),
  show: docs('Show a webhook', ['godwit webhook show pager']),
  delete: docs('Delete a webhook and what it has still to be told', ['godwit webhook delete pager']),
});

const send = buildCommand<Record<never, never>, [string], CliContext>({
  docs: docs('Send an event of type webhook.test', ['godwit webhook test pager', 'godwit webhook delivery list pager']),
  parameters: { positional: args(webhook) },
  async func(_flags, idOrName) {
    const api = await this.connect();
    await api.post(`/webhooks/${await webhookId(api, idOrName)}/actions`, { test: null });
  },
});

const rotate = buildCommand<ShowFlags, [string], CliContext>({
  docs: docs(
    'Sign with a new secret from now on',
    ['godwit webhook rotate secret pager'],
    'It is printed once. The old one is not used again.',
  ),
  parameters: { flags: showFlags, aliases: outputAliases, positional: args(webhook) },
  async func(flags, idOrName) {
    requirePrintable(flags, { id: null, secret: null });
    const api = await this.connect();
    const path = `/webhooks/${await webhookId(api, idOrName)}/actions`;
    const answer = objectOf(await api.post(path, { 'rotate-secret': null }), 'webhook');
    await printObject(this, flags, { id: answer.id ?? null, secret: answer.secret ?? null });
  },
});

const DELIVERY_COLUMNS = ['ID', 'Event', 'Object', 'State', 'Attempts', 'Next Attempt', 'Last Status', 'Last Error'];

const deliveries = buildCommand<ListFlags & { state?: string; limit?: number }, [string], CliContext>({
  docs: docs(
    'List what a webhook was or will be told, newest first',
    ['godwit webhook delivery list pager', 'godwit webhook delivery list pager --state failed'],
    'Kept for a week after they ended.',
  ),
  parameters: {
    flags: {
      state: text('Only waiting, delivered or failed ones', 'STATE'),
      limit: {
        kind: 'parsed',
        parse: wholeNumber,
        optional: true,
        placeholder: 'NUMBER',
        brief: 'At most; default 100',
      },
      ...listFlags,
    },
    aliases: outputAliases,
    positional: args(webhook),
  },
  async func(flags, idOrName) {
    const api = await this.connect();
    const answer = await api.get(`/webhooks/${await webhookId(api, idOrName)}/deliveries`, {
      ...(flags.state === undefined ? {} : { state: flags.state }),
      ...(flags.limit === undefined ? {} : { limit: flags.limit }),
    });
    await printList(this, flags, DELIVERY_COLUMNS, listOf(answer, 'deliveries').map(deliveryRow));
  },
});

const retry = buildCommand<Record<never, never>, [string, string], CliContext>({
  docs: docs('Try a delivery again that was given up', ['godwit webhook delivery retry pager 5f0c...']),
  parameters: {
    positional: args(webhook, idArgument('DELIVERY', 'Id of the delivery')),
  },
  async func(_flags, idOrName, deliveryId) {
    const api = await this.connect();
    await api.post(`/webhooks/${await webhookId(api, idOrName)}/deliveries/${deliveryId}/actions`, { retry: null });
  },
});

export const routes = buildRouteMap<string, CliContext>({
  docs: { brief: 'Who outside is told of events' },
  routes: {
    create,
    list,
    show,
    update,
    delete: remove,
    test: send,
    rotate: buildRouteMap({ docs: { brief: 'What signatures are made with' }, routes: { secret: rotate } }),
    delivery: buildRouteMap({
      docs: { brief: 'What a webhook was or will be told' },
      routes: { list: deliveries, retry },
    }),
  },
});

function eventsCell(one: ApiObject) {
  const events = Array.isArray(one.events) ? one.events : [];
  return cell(events, events.length === 0 ? 'all but tasks and progress' : events.join('\n'));
}

function statusesCell(one: ApiObject) {
  const statuses = Array.isArray(one.statuses) ? one.statuses : [];
  return cell(statuses, statuses.length === 0 ? 'all' : statuses.join('\n'));
}

function row(one: ApiObject): Row {
  return {
    ID: one.id ?? null,
    Name: one.name ?? null,
    URL: one.url ?? null,
    Events: eventsCell(one),
    Enabled: one.enabled ?? null,
  };
}

function detail(one: ApiObject): Row {
  return {
    id: one.id ?? null,
    name: one.name ?? null,
    url: one.url ?? null,
    events: eventsCell(one),
    statuses: statusesCell(one),
    enabled: one.enabled ?? null,
    project_id: one.project_id ?? null,
    created: one.created_at ?? null,
    last_updated: one.updated_at ?? null,
  };
}

function deliveryRow(one: ApiObject): Row {
  const body = objectOf(one, 'body');
  return {
    ID: one.id ?? null,
    Event: body.type ?? null,
    Object: `${textAt(body, 'object_type')} ${textAt(body, 'object_id')}`,
    State: one.state ?? null,
    Attempts: one.attempts ?? null,
    'Next Attempt': one.next_at ?? null,
    'Last Status': one.last_status ?? null,
    'Last Error': one.last_error ?? null,
  };
}
