import { writeFileSync } from 'node:fs';
import { buildCommand, buildRouteMap } from '@stricli/core';
import { type ApiObject, listOf, objectOf, type Query, textAt } from '../api.ts';
import { cell, type Json, type Row } from '../cell.ts';
import type { CliContext } from '../context.ts';
import {
  args,
  argument,
  docs,
  isGiven,
  type ListFlags,
  listFlags,
  outputAliases,
  type ShowFlags,
  showFlags,
  text,
  texts,
  toggle,
  wholeNumber,
} from '../flags.ts';
import { jsonOption } from '../json-option.ts';
import { endpointId } from '../lookup.ts';
import { printList, printObject } from '../print.ts';
import { CommandFailure, UsageError } from '../usage-error.ts';

interface EnvironmentFlags {
  environment?: string;
  environmentFile?: string;
}

const environmentFlags = {
  environment: text('Environment options of the provider as JSON', 'JSON'),
  environmentFile: text('File that holds them; - is standard input', 'PATH'),
};

const endpoint = argument('ENDPOINT', 'Id or name of the endpoint');

const INSTANCE_COLUMNS = ['ID', 'Name', 'Flavor', 'Memory MB', 'Cores', 'OS Type'];

const listInstances = buildCommand<
  ListFlags & EnvironmentFlags & { marker?: string; limit?: number; name?: string; refresh: boolean },
  [string],
  CliContext
>({
  docs: docs('List the instances of an endpoint', [
    'godwit endpoint instance list lab',
    'godwit endpoint instance list lab --name web -f value -c ID',
  ]),
  parameters: {
    flags: {
      marker: text('Id of the last instance already seen', 'ID'),
      limit: { kind: 'parsed', parse: wholeNumber, optional: true, placeholder: 'COUNT', brief: 'At most so many' },
      name: text('Only instances whose name contains this', 'TEXT'),
      refresh: toggle('Ask the platform anew, not a cache'),
      ...environmentFlags,
      ...listFlags,
    },
    aliases: outputAliases,
    positional: args(endpoint),
  },
  async func(flags, idOrName) {
    const query: Query = {
      ...(await environmentQuery(this, flags)),
      marker: flags.marker,
      limit: flags.limit,
      name: flags.name,
      refresh: flags.refresh ? 'True' : undefined,
    };
    const api = await this.connect();
    const answer = await api.get(`/endpoints/${await endpointId(api, idOrName)}/instances`, query);
    const rows = listOf(answer, 'instances').map(
      (instance): Row => ({
        ID: instance.id ?? null,
        Name: instance.instance_name ?? instance.name ?? null,
        Flavor: instance.flavor_name ?? '',
        'Memory MB': instance.memory_mb ?? null,
        Cores: instance.num_cpu ?? null,
        'OS Type': instance.os_type ?? null,
      }),
    );
    await printList(this, flags, INSTANCE_COLUMNS, rows);
  },
});

const showInstance = buildCommand<ShowFlags & EnvironmentFlags, [string, string], CliContext>({
  docs: docs('Show an instance with its disks and network interfaces', ['godwit endpoint instance show lab web01']),
  parameters: {
    flags: { ...environmentFlags, ...showFlags },
    aliases: outputAliases,
    positional: args(endpoint, argument('INSTANCE', 'Id or name of the instance')),
  },
  async func(flags, idOrName, instance) {
    const query = await environmentQuery(this, flags);
    const api = await this.connect();
    const id = await endpointId(api, idOrName);
    const answer = await api.get(`/endpoints/${id}/instances/${encodeBase64(instance)}`, query);
    await printObject(this, flags, instanceDetail(objectOf(answer, 'instance')));
  },
});

const listNetworks = buildCommand<ListFlags & EnvironmentFlags, [string], CliContext>({
  docs: docs('List the networks of an endpoint', ['godwit endpoint network list lab']),
  parameters: { flags: { ...environmentFlags, ...listFlags }, aliases: outputAliases, positional: args(endpoint) },
  async func(flags, idOrName) {
    const query = await environmentQuery(this, flags);
    const api = await this.connect();
    const answer = await api.get(`/endpoints/${await endpointId(api, idOrName)}/networks`, query);
    const rows = byName(listOf(answer, 'networks')).map(
      (network): Row => ({ ID: network.id ?? null, Name: network.name ?? null }),
    );
    await printList(this, flags, ['ID', 'Name'], rows);
  },
});

const listStorage = buildCommand<ListFlags & EnvironmentFlags, [string], CliContext>({
  docs: docs('List the storage of an endpoint', ['godwit endpoint storage list lab']),
  parameters: { flags: { ...environmentFlags, ...listFlags }, aliases: outputAliases, positional: args(endpoint) },
  async func(flags, idOrName) {
    const query = await environmentQuery(this, flags);
    const api = await this.connect();
    const answer = await api.get(`/endpoints/${await endpointId(api, idOrName)}/storage`, query);
    const rows = byName(listOf(objectOf(answer, 'storage'), 'storage_backends')).map(
      (backend): Row => ({
        ID: backend.id ?? null,
        Name: backend.name ?? null,
        'Additional Properties': backend.additional_provider_properties ?? {},
      }),
    );
    await printList(this, flags, ['ID', 'Name', 'Additional Properties'], rows);
  },
});

const exportInventory = buildCommand<EnvironmentFlags & { outputFile?: string }, [string], CliContext>({
  docs: docs('Export the instances of an endpoint as CSV', [
    'godwit endpoint export inventory lab --output-file lab.csv',
  ]),
  parameters: {
    flags: { ...environmentFlags, outputFile: text('File to write; default: standard output', 'PATH') },
    positional: args(endpoint),
  },
  async func(flags, idOrName) {
    const query = await environmentQuery(this, flags);
    const api = await this.connect();
    const csv = await api.getText(`/endpoints/${await endpointId(api, idOrName)}/inventory`, 'text/csv', query);
    if (flags.outputFile === undefined) {
      this.print(csv);
      return;
    }
    try {
      writeFileSync(flags.outputFile, csv);
    } catch (error) {
      throw new CommandFailure(`Cannot write ${flags.outputFile}: ${error instanceof Error ? error.message : error}`);
    }
    this.print(`Inventory written to ${flags.outputFile}\n`);
  },
});

export const exportRoutes = buildRouteMap({
  docs: { brief: 'Export what an endpoint holds' },
  routes: { inventory: exportInventory },
});

export const instanceRoutes = buildRouteMap({
  docs: { brief: 'Instances of an endpoint' },
  routes: { list: listInstances, show: showInstance },
});

export const networkRoutes = buildRouteMap({
  docs: { brief: 'Networks of an endpoint' },
  routes: { list: listNetworks },
});

export const storageRoutes = buildRouteMap({
  docs: { brief: 'Storage of an endpoint' },
  routes: { list: listStorage },
});

/** `options list` of one side. */
export function optionRoutes(side: 'source' | 'destination') {
  return buildRouteMap({
    docs: { brief: `Values on offer for the ${side} environment` },
    routes: { list: listOptions(side, `${side}-options`, `${side}_options`, `${side} options`) },
  });
}

/** `minion pool options list` of one side. */
export function minionRoutes(side: 'source' | 'destination') {
  const list = listOptions(
    side,
    `${side}-minion-pool-options`,
    `${side}_minion_pool_options`,
    `${side} minion pool options`,
  );
  const options = buildRouteMap({ docs: { brief: 'Values on offer for minion pools' }, routes: { list } });
  const pool = buildRouteMap({ docs: { brief: 'Minion pools' }, routes: { options } });
  return buildRouteMap({ docs: { brief: 'Minions' }, routes: { pool } });
}

function listOptions(side: string, segment: string, key: string, words: string) {
  return buildCommand<ListFlags & EnvironmentFlags & { options?: readonly string[] }, readonly string[], CliContext>({
    docs: docs(`List the values on offer for options of the ${side} environment`, [
      `godwit endpoint ${words} list lab`,
      `godwit endpoint ${words} list lab --options network storage`,
    ]),
    parameters: {
      flags: { ...environmentFlags, options: texts('Names of options, default all', 'NAME...'), ...listFlags },
      aliases: outputAliases,
      positional: {
        kind: 'array',
        minimum: 1,
        parameter: { ...endpoint, brief: 'Endpoint (id or name), then more --options' },
      },
    },
    async func(flags, idOrName = '', ...more) {
      if (more.length > 0 && !isGiven(flags.options)) {
        throw new UsageError(`Too many arguments: ${more.join(' ')}. One endpoint is expected.`);
      }
      const names = [...(flags.options ?? []), ...more];
      const query: Query = {
        ...(await environmentQuery(this, flags)),
        options: names.length === 0 ? undefined : encodeBase64(JSON.stringify(names)),
      };
      const api = await this.connect();
      const answer = await api.get(`/endpoints/${await endpointId(api, idOrName)}/${segment}`, query);
      const rows = byName(listOf(answer, key)).map(
        (option): Row => ({
          'Option Name': option.name ?? null,
          'Possible Values': cell(option.values ?? [], JSON.stringify(option.values ?? [], null, 2)),
          'Configuration Default': option.config_default ?? null,
        }),
      );
      await printList(this, flags, ['Option Name', 'Possible Values', 'Configuration Default'], rows);
    },
  });
}

/** The environment as the API takes it in a query: URL-safe base64 of JSON. */
async function environmentQuery(context: CliContext, flags: EnvironmentFlags): Promise<Query> {
  const environment = await jsonOption(context, 'environment', flags.environment, flags.environmentFile);
  return environment === undefined ? {} : { env: encodeBase64(JSON.stringify(environment)) };
}

/** URL-safe base64 with padding: what existing servers of this API decode. */
function encodeBase64(text: string): string {
  const plain = Buffer.from(text, 'utf8').toString('base64');
  return plain.replaceAll('+', '-').replaceAll('/', '_');
}

function byName(items: readonly ApiObject[]): ApiObject[] {
  return [...items].sort((a, b) => textAt(a, 'name').localeCompare(textAt(b, 'name')));
}

function instanceDetail(instance: ApiObject): Row {
  const devices = objectOf(instance, 'devices');
  const json = (value: Json | undefined) => cell(value ?? [], JSON.stringify(value ?? [], null, 2));
  return {
    ID: instance.id ?? null,
    Name: instance.name ?? null,
    'Instance name': instance.instance_name ?? instance.name ?? null,
    Flavor: instance.flavor_name ?? '',
    'Memory MB': instance.memory_mb ?? null,
    Cores: instance.num_cpu ?? null,
    'OS Type': instance.os_type ?? null,
    'Firmware Type': instance.firmware_type ?? 'UNKNOWN',
    Controllers: json(devices.controllers),
    Disks: json(devices.disks),
    'Network Interfaces': json(devices.nics),
    CDRoms: json(devices.cdroms),
    Floppies: json(devices.floppies),
    'Serial Ports': json(devices.serial_ports),
  };
}
