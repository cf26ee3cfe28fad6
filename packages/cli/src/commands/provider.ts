import { buildCommand, buildRouteMap } from '@stricli/core';
import { objectOf } from '../api.ts';
import { cell, type Row } from '../cell.ts';
import type { CliContext } from '../context.ts';
import { args, argument, docs, type ListFlags, listFlags, outputAliases } from '../flags.ts';
import { printList } from '../print.ts';
import { suggestion, UsageError } from '../usage-error.ts';

/** What the numbers of the wire mean; numbers not listed here are not shown. */
const FEATURES: ReadonlyMap<number, string> = new Map([
  [4, 'Replica Destination'],
  [8, 'Replica Source'],
  [16, 'Endpoints'],
  [32, 'Listing Instances'],
  [64, 'OSMorphing'],
  [128, 'Listing Networks'],
  [256, 'Listing VM Flavors'],
  [512, 'Listing Available Options'],
  [32_768, 'Listing Storage'],
  [131_072, 'Listing Source Options'],
  [524_288, 'Source Minion Pool Operations'],
  [1_048_576, 'Destination Minion Pool Operations'],
  [2_097_152, 'Endpoint Inventory Export'],
]);

const SCHEMA_TYPES: Readonly<Record<string, number>> = {
  connection: 16,
  destination: 4,
  source: 8,
  source_minion_pool: 524_288,
  destination_minion_pool: 1_048_576,
};

const list = buildCommand<ListFlags, [], CliContext>({
  docs: docs('List the providers of this installation and what each can do', ['godwit provider list']),
  parameters: { flags: listFlags, aliases: outputAliases },
  async func(flags) {
    const api = await this.connect();
    const providers = objectOf(await api.get('/providers'), 'providers');
    const rows = Object.keys(providers)
      .sort()
      .map((name): Row => {
        const types = objectOf(providers, name).types;
        const numbers = Array.isArray(types) ? types.map(Number) : [];
        const actions = numbers.map((type) => FEATURES.get(type)).filter((feature) => feature !== undefined);
        return { Platform: name, 'Supported Actions': cell(actions, actions.join(', ')) };
      });
    await printList(this, flags, ['Platform', 'Supported Actions'], rows);
  },
});

const listSchemas = buildCommand<ListFlags, [string, string], CliContext>({
  docs: docs('Show the JSON Schema of a provider: what a connection or an environment consists of', [
    'godwit provider schema list libvirt connection',
    'godwit provider schema list libvirt destination -f json',
  ]),
  parameters: {
    flags: listFlags,
    aliases: outputAliases,
    positional: args(argument('PLATFORM', 'Provider'), argument('TYPE', Object.keys(SCHEMA_TYPES).join(', '))),
  },
  async func(flags, platform, type) {
    const number = SCHEMA_TYPES[type];
    if (number === undefined) {
      const known = Object.keys(SCHEMA_TYPES);
      throw new UsageError(`Unknown schema type "${type}".${suggestion(type, known)} Known: ${known.join(', ')}.`);
    }
    const api = await this.connect();
    const answer = await api.get(`/providers/${encodeURIComponent(platform)}/schemas/${number}`);
    const rows = Object.entries(objectOf(answer, 'schemas')).map(
      ([name, schema]): Row => ({ 'Schema Type': name, Schema: cell(schema, JSON.stringify(schema, null, 4)) }),
    );
    await printList(this, flags, ['Schema Type', 'Schema'], rows);
  },
});

/** Stands here for help and completion: bin/godwit.js starts the program that does it, on the worker's machine. */
const validate = buildCommand<Record<never, never>, readonly string[], CliContext>({
  docs: docs(
    'Prove that a platform keeps the promises that Godwit builds on',
    ['godwit provider validate lab', 'godwit provider validate lab --instance web01 --scratch'],
    'Run it on a worker\'s machine. "godwit provider validate --help" tells its options.',
  ),
  parameters: {
    positional: {
      kind: 'array',
      parameter: { parse: String, placeholder: 'ENDPOINT', brief: 'Endpoint (id or name)' },
    },
  },
  func() {
    throw new UsageError('Options of all commands go behind: godwit provider validate ENDPOINT.');
  },
});

export const routes = buildRouteMap<string, CliContext>({
  docs: { brief: 'Kinds of platform that Godwit speaks to' },
  routes: {
    list,
    validate,
    schema: buildRouteMap({ docs: { brief: 'Options of a provider' }, routes: { list: listSchemas } }),
  },
});
