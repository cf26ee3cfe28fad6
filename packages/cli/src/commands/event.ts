import { buildCommand, buildRouteMap } from '@stricli/core';
import { type ApiEvent, objectOf, textAt } from '../api.ts';
import { plain } from '../cell.ts';
import type { CliContext } from '../context.ts';
import { docs, isGiven, text, texts, wholeNumber } from '../flags.ts';
import { visibleLine } from '../visible.ts';

const follow = buildCommand<
  { format: 'plain' | 'json'; type?: readonly string[]; object?: string; after?: string; limit?: number },
  [],
  CliContext
>({
  docs: docs(
    'Print events as they happen, one line each, until Ctrl-C',
    [
      'godwit event follow',
      'godwit event follow --type execution --type task -f json',
      'godwit event follow --after 0   # everything that is kept, then what happens',
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
      type: texts('Only events of this type; "execution" means all that begin so; may be repeated', 'TYPE'),
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
      const options = {
        ...(flags.after === undefined ? {} : { after: flags.after }),
        ...(isGiven(flags.type) ? { types: flags.type } : {}),
        ...(flags.object === undefined ? {} : { objectId: flags.object }),
        signal: stop.signal,
      };
      if (left === 0) return;
      for await (const event of api.events(options)) {
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
  return `${JSON.stringify(event.data)}\n`;
}

/** Id, time, type and object, then what is known of it. */
function plainLine(event: ApiEvent): string {
  const { data } = event;
  const head = [event.id, textAt(data, 'at'), event.type, textAt(data, 'object_id')];
  const payload = Object.entries(objectOf(data, 'payload')).map(([key, value]) => `${key}=${plain(value)}`);
  return `${visibleLine([...head, ...payload].join(' '))}\n`;
}
