import { buildCommand, buildRouteMap } from '@stricli/core';
import { type ApiObject, objectOf } from '../api.ts';
import { cell, type Row } from '../cell.ts';
import type { CliContext } from '../context.ts';
import { args, argument, docs, outputAliases, type ShowFlags, showFlags } from '../flags.ts';
import { endpointId } from '../lookup.ts';
import { printObject, requirePrintable } from '../print.ts';
import { formatRate, parseRate } from '../quantity.ts';

const endpoint = args(argument('ENDPOINT', 'Id or name of the endpoint'));

const show = buildCommand<ShowFlags, [string], CliContext>({
  docs: docs('Show what an endpoint may be burdened with', ['godwit endpoint limits show lab']),
  parameters: { flags: showFlags, aliases: outputAliases, positional: endpoint },
  async func(flags, idOrName) {
    const api = await this.connect();
    const answer = await api.get(`/endpoints/${await endpointId(api, idOrName)}/limits`);
    await printObject(this, flags, row(objectOf(answer, 'limits')));
  },
});

const set = buildCommand<ShowFlags & { rateLimit: number }, [string], CliContext>({
  docs: docs(
    'Limit the bytes per second of an endpoint, over all transfers that use it',
    ['godwit endpoint limits set lab --rate-limit 100MB/s', 'godwit endpoint limits set lab --rate-limit none'],
    'Each direction has the whole limit. It counts for copies under way within seconds.',
  ),
  parameters: {
    flags: {
      rateLimit: {
        kind: 'parsed',
        parse: parseRate,
        placeholder: 'RATE',
        brief: '100MB/s, 12.5MiB/s, 1Gbit/s; none: no limit',
      },
      ...showFlags,
    },
    aliases: outputAliases,
    positional: endpoint,
  },
  async func(flags, idOrName) {
    requirePrintable(flags, row({}));
    const api = await this.connect();
    const path = `/endpoints/${await endpointId(api, idOrName)}/limits`;
    const answer = await api.put(path, { limits: { rate_limit: flags.rateLimit || null } });
    await printObject(this, flags, row(objectOf(answer, 'limits')));
  },
});

export const limitRoutes = buildRouteMap({
  docs: { brief: 'What an endpoint may be burdened with' },
  routes: { show, set },
});

function row(limits: ApiObject): Row {
  const rate = typeof limits.rate_limit === 'number' ? limits.rate_limit : null;
  return { rate_limit: rate === null ? null : cell(rate, formatRate(rate)) };
}
