import { buildCommand, buildRouteMap } from '@stricli/core';
import { type Api, type ApiObject, objectOf } from '../api.ts';
import { cell, type Row } from '../cell.ts';
import type { CliContext } from '../context.ts';
import { type Argument, args, argument, docs, idArgument, outputAliases, type ShowFlags, showFlags } from '../flags.ts';
import { endpointId } from '../lookup.ts';
import { printObject, requirePrintable } from '../print.ts';
import { formatRate, parseRate } from '../quantity.ts';

/** Whose limits, in words and paths. */
interface Owner {
  argument: Argument;
  /** A command line up to the option. */
  example: string;
  show: string;
  set: string;
  about: string;
  path(api: Api, named: string): Promise<string>;
}

function limitsOf(owner: Owner) {
  const positional = args(owner.argument);

  const show = buildCommand<ShowFlags, [string], CliContext>({
    docs: docs(owner.show, [owner.example.replace('*', 'show')]),
    parameters: { flags: showFlags, aliases: outputAliases, positional },
    async func(flags, named) {
      const api = await this.connect();
      await printObject(this, flags, row(objectOf(await api.get(await owner.path(api, named)), 'limits')));
    },
  });

  const set = buildCommand<ShowFlags & { rateLimit: number }, [string], CliContext>({
    docs: docs(
      owner.set,
      ['100MB/s', 'none'].map((rate) => `${owner.example.replace('*', 'set')} --rate-limit ${rate}`),
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
      positional,
    },
    async func(flags, named) {
      requirePrintable(flags, row({}));
      const api = await this.connect();
      const answer = await api.put(await owner.path(api, named), { limits: { rate_limit: flags.rateLimit || null } });
      await printObject(this, flags, row(objectOf(answer, 'limits')));
    },
  });

  return buildRouteMap({ docs: { brief: owner.about }, routes: { show, set } });
}

export const endpointLimits = limitsOf({
  argument: argument('ENDPOINT', 'Id or name of the endpoint'),
  example: 'godwit endpoint limits * lab',
  show: 'Show what an endpoint may be burdened with',
  set: 'Limit the bytes per second of an endpoint, over all transfers that use it',
  about: 'What an endpoint may be burdened with',
  path: async (api, named) => `/endpoints/${await endpointId(api, named)}/limits`,
});

export const transferLimits = limitsOf({
  argument: idArgument('TRANSFER', 'Id of the transfer'),
  example: 'godwit transfer limits * 2c9e...',
  show: 'Show how fast a transfer may be',
  set: 'Limit the bytes per second of a transfer, over all its disks, also while it runs',
  about: 'How fast it may be',
  path: async (_api, id) => `/transfers/${id}/limits`,
});

function row(limits: ApiObject): Row {
  const rate = typeof limits.rate_limit === 'number' ? limits.rate_limit : null;
  return { rate_limit: rate === null ? null : cell(rate, formatRate(rate)) };
}
