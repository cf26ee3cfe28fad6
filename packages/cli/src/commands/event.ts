import { buildCommand, buildRouteMap } from '@stricli/core';
import { type ApiEvent, textAt } from '../api.ts';
import type { CliContext } from '../context.ts';
import { docs, isGiven, text, texts, wholeNumber } from '../flags.ts';

const follow = buildCommand<
  { format: 'plain' | 'json'; type?: readonly string[]; object?: string; after?: string; limit?: number },
  [],
  CliContext
>({
  docs: docs(
    'Print events as they happen, one line each, until Ctrl-C',
    [
      'godwit event follow',
      'godwit event follow --type execution.updated -f json',
      'godwit event follow --after 4711   # everything since an event already seen',
    ],
    'A lost connection is taken up again where it was: no event is missed.',
  ),
  parameters: {
    flags: {
      format: {
        kind: 'enum',
        values: ['plain', 'json'],
        default: 'plain',
        brief: 'plain: for people; json: one object per line',
      },
      type: texts('Only events of this type; may be repeated', 'TYPE'),
      object: text('Only events about the object with this id', 'ID'),
      after: text('Begin after the event with this id; default: from now on', 'ID'),
      limit: {
        kind: 'parsed',
        parse: wholeNumber,
        optional: true,
        placeholder: 'COUNT',
        brief: 'End after so many events',
      },
    },
    aliases: { f: 'format' },
  },
  async func(flags) {
    const api = await this.connect();
    const stop = new AbortController();
    const interrupt = (): void => stop.abort();
    process.once('SIGINT', interrupt);
    let left = flags.limit ?? Number.POSITIVE_INFINITY;
    try {
      const after = flags.after === undefined ? {} : { after: flags.after };
      if (left === 0) return;
      for await (const event of api.events({ ...after, signal: stop.signal })) {
        if (isGiven(flags.type) && !flags.type.includes(event.type)) continue;
        if (flags.object !== undefined && !JSON.stringify(event.data).includes(flags.object)) continue;
        this.print(flags.format === 'json' ? jsonLine(event) : plainLine(event));
        left -= 1;
        if (left === 0) break;
      }
    } finally {
      process.removeListener('SIGINT', interrupt);
      stop.abort();
    }
  },
});

export const routes = buildRouteMap<string, CliContext>({
  docs: { brief: 'What happens, as it happens' },
  routes: { follow },
});

function jsonLine(event: ApiEvent): string {
  return `${JSON.stringify({ id: event.id, type: event.type, ...event.data })}\n`;
}

/** Time, type and object first; the rest as it came. */
function plainLine(event: ApiEvent): string {
  const { at, object_type: objectType, object_id: objectId, payload } = event.data;
  const head = [at ?? '', event.type, objectType ?? '', objectId ?? ''].filter((part) => part !== '').join(' ');
  const rest = payload ?? event.data;
  const status = textAt(typeof rest === 'object' && rest !== null && !Array.isArray(rest) ? rest : {}, 'status');
  return `${event.id} ${head} ${status === '' ? JSON.stringify(rest) : status}\n`;
}
