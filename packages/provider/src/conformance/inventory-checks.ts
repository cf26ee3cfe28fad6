import { isDeepStrictEqual } from 'node:util';
import { GodwitError } from '@godwit/domain';
import type { TSchema } from 'typebox';
import {
  InstanceInfoSchema,
  InstanceSummarySchema,
  NetworkSchema,
  OptionValuesSchema,
  StorageBackendSchema,
} from '../schemas.ts';
import { checkInput, violations } from '../validation.ts';
import { type Bench, type Check, ensure, ensureRejects, NotApplicable } from './bench.ts';

/** Connection and lists: all read-only. */
export const inventoryChecks: Check[] = [
  {
    name: 'validates its connection',
    needs: 'endpoint',
    run: async (bench) => {
      const ctx = bench.context();
      checkInput(bench.provider.connectionSchema, ctx.connectionInfo, 'connection_info');
      await bench.provider.validateConnection(ctx);
      return 'connected';
    },
  },
  {
    name: 'refuses a connection that its schema forbids',
    needs: 'endpoint',
    run: async (bench) => {
      const ctx = bench.context({ connectionInfo: { no_such_field: true } });
      return ensureRejects(bench.provider.validateConnection(ctx), ['INVALID_INPUT'], 'an unknown field');
    },
  },
  {
    name: 'answers wrong credentials with AUTHENTICATION_FAILED',
    needs: 'endpoint',
    run: async (bench) => {
      const connectionInfo = await bench.subject.wrongCredentials();
      if (typeof connectionInfo === 'string') throw new NotApplicable(connectionInfo);
      const ctx = bench.context({ connectionInfo });
      return ensureRejects(bench.provider.validateConnection(ctx), ['AUTHENTICATION_FAILED'], 'wrong credentials');
    },
  },
  {
    name: 'answers an unreachable platform with CONNECTION_FAILED',
    needs: 'endpoint',
    run: async (bench) => {
      const ctx = bench.context({ connectionInfo: await bench.subject.unreachable() });
      await ensureRejects(bench.provider.validateConnection(ctx), ['CONNECTION_FAILED'], 'validateConnection');
      const list = bench.provider.listInstances(ctx, { environment: bench.sourceEnvironment });
      return ensureRejects(list, ['CONNECTION_FAILED'], 'listInstances');
    },
  },
  {
    name: 'lists instances in the agreed shape, each id once',
    needs: 'endpoint',
    run: async (bench) => {
      const list = await listAll(bench);
      for (const item of list) ensureShape(InstanceSummarySchema, item, `instance ${item.id}`);
      ensure(new Set(list.map(({ id }) => id)).size === list.length, 'an id is listed twice');
      return `${list.length} instance(s)`;
    },
  },
  {
    name: 'gives the same ids in the same order every time',
    needs: 'endpoint',
    run: async (bench) => {
      const first = (await listAll(bench)).map(({ id }) => id);
      const second = (await listAll(bench)).map(({ id }) => id);
      ensure(isDeepStrictEqual(first, second), `the second list differs: ${second.join(', ')}`);
      return `${first.length} id(s)`;
    },
  },
  {
    name: 'pages by marker and limit without gap or repetition',
    needs: 'endpoint',
    run: async (bench) => {
      const all = (await listAll(bench)).map(({ id }) => id);
      if (all.length < 2) throw new NotApplicable('needs two instances');
      const limit = Math.max(1, Math.ceil(all.length / 3));
      const paged: string[] = [];
      for (let round = 0; round <= all.length; round++) {
        const marker = paged.at(-1);
        const page = await bench.provider.listInstances(bench.context(), {
          limit,
          environment: bench.sourceEnvironment,
          ...(marker === undefined ? {} : { marker }),
        });
        ensure(page.length <= limit, `a page of ${page.length} where ${limit} was the limit`);
        paged.push(...page.map(({ id }) => id));
        if (page.length === 0) break;
      }
      ensure(isDeepStrictEqual(paged, all), `pages give ${paged.join(', ')} where the list is ${all.join(', ')}`);
      return `${all.length} instance(s) in pages of ${limit}`;
    },
  },
  {
    name: 'filters by a part of the name in any case',
    needs: 'endpoint',
    run: async (bench) => {
      const all = await listAll(bench);
      const [first] = all;
      if (first === undefined) throw new NotApplicable('needs an instance');
      const part = first.name.slice(0, Math.max(1, first.name.length - 1));
      const wanted = all.filter(({ name }) => name.toLowerCase().includes(part.toLowerCase())).map(({ id }) => id);
      for (const name of [part, part.toUpperCase()]) {
        const found = await bench.provider.listInstances(bench.context(), {
          name,
          environment: bench.sourceEnvironment,
        });
        const ids = found.map(({ id }) => id);
        ensure(isDeepStrictEqual(ids, wanted), `"${name}" finds ${ids.join(', ')} instead of ${wanted.join(', ')}`);
      }
      const none = await bench.provider.listInstances(bench.context(), {
        name: 'no-instance-has-this-name-7f3a',
        environment: bench.sourceEnvironment,
      });
      ensure(none.length === 0, 'a name that nobody has finds something');
      return `"${part}" finds ${wanted.length}`;
    },
  },
  {
    name: 'describes an instance in the agreed shape',
    needs: 'endpoint',
    run: async (bench) => {
      const id = bench.options.instance ?? (await firstId(bench));
      const info = await bench.provider.getInstance(bench.context(), id, bench.sourceEnvironment);
      ensureShape(InstanceInfoSchema, info, `instance ${id}`);
      const ids = info.devices.disks.map((disk) => disk.id);
      ensure(new Set(ids).size === ids.length, 'a disk id is given twice');
      const devices = new Set([...ids, ...info.devices.nics.map((nic) => nic.id)]);
      for (const boot of info.boot_order) ensure(devices.has(boot), `boot_order names ${boot}, which is no device`);
      ensure(isDeepStrictEqual(JSON.parse(JSON.stringify(info)), info), 'it is not plain JSON');
      return `${info.devices.disks.length} disk(s), ${info.devices.nics.length} NIC(s)`;
    },
  },
  {
    name: 'finds an instance by its unique name',
    needs: 'endpoint',
    run: async (bench) => {
      const all = await listAll(bench);
      const unique = all.find(
        ({ name }) => all.filter((other) => other.name === name || other.id === name).length === 1,
      );
      if (unique === undefined) throw new NotApplicable('needs an instance with a unique name');
      const info = await describable(bench, unique.name);
      ensure(info.id === unique.id, `"${unique.name}" gives ${info.id} instead of ${unique.id}`);
      return `"${unique.name}"`;
    },
  },
  {
    name: 'answers an unknown instance with NOT_FOUND',
    needs: 'endpoint',
    run: (bench) =>
      ensureRejects(
        bench.provider.getInstance(bench.context(), 'no-such-instance-7f3a', bench.sourceEnvironment),
        ['NOT_FOUND'],
        'getInstance',
      ),
  },
  {
    name: 'lists networks and storage in the agreed shape',
    needs: 'endpoint',
    run: async (bench) => {
      const { provider } = bench;
      if (!provider.listNetworks && !provider.listStorage) throw new NotApplicable('lists neither');
      const environment = bench.options.destinationEnvironment ?? {};
      const networks = (await provider.listNetworks?.(bench.context(), environment)) ?? [];
      for (const network of networks) ensureShape(NetworkSchema, network, `network ${network.id}`);
      const storage = (await provider.listStorage?.(bench.context(), environment)) ?? [];
      for (const backend of storage) ensureShape(StorageBackendSchema, backend, `storage ${backend.id}`);
      return `${networks.length} network(s), ${storage.length} storage backend(s)`;
    },
  },
  {
    name: 'lists option values in the agreed shape, all or the named ones',
    needs: 'endpoint',
    run: async (bench) => {
      const { provider } = bench;
      if (!provider.listOptions) throw new NotApplicable('lists none');
      let count = 0;
      for (const side of ['source', 'destination'] as const) {
        if ((side === 'source' ? provider.source : provider.target) === undefined) continue;
        const all = await provider.listOptions(bench.context(), side, {}, []);
        for (const option of all) ensureShape(OptionValuesSchema, option, `option ${option.name}`);
        count += all.length;
        const [first] = all;
        if (first === undefined) continue;
        const named = await provider.listOptions(bench.context(), side, {}, [first.name]);
        const names = named.map(({ name }) => name);
        ensure(isDeepStrictEqual(names, [first.name]), `asked for ${first.name}, got ${names.join(', ')}`);
      }
      return `${count} option(s)`;
    },
  },
];

export function ensureShape(schema: TSchema, value: unknown, what: string): void {
  const wrong = violations(schema, value).map(({ path, message }) => `${path} ${message}`);
  ensure(wrong.length === 0, `${what}: ${wrong.join('; ')}`);
}

function listAll(bench: Bench) {
  return bench.provider.listInstances(bench.context(), { environment: bench.sourceEnvironment, refresh: true });
}

async function firstId(bench: Bench): Promise<string> {
  if (bench.options.subject !== undefined) return bench.instanceId();
  const [first] = await listAll(bench);
  if (first === undefined) throw new NotApplicable('needs an instance');
  return first.id;
}

/** An instance that cannot be read for its own reasons says nothing about names. */
async function describable(bench: Bench, name: string) {
  try {
    return await bench.provider.getInstance(bench.context(), name, bench.sourceEnvironment);
  } catch (error) {
    if (error instanceof GodwitError && error.code !== 'NOT_FOUND') throw new NotApplicable(error.message);
    throw error;
  }
}
