import { GodwitError } from '@godwit/domain';
import { checkInput, type Machine, type ProviderContext } from '@godwit/provider';
import { type Static, Type } from 'typebox';
import type { Cloud } from './client/cloud.ts';
import type { Server } from './client/compute.ts';
import { credentialsOf } from './connection.ts';
import { checkKey } from './mark.ts';
import { type Minion, minionName } from './minion.ts';
import { minionKey } from './minion-key.ts';
import { orNull } from './wait.ts';

const machineSchema = Type.Object({
  key: Type.String(),
  host: Type.String(),
  user: Type.String(),
  hostKeys: Type.Array(Type.String()),
});

/** What is remembered of a machine of a pool: all but its private key, which follows from the endpoint's secret. */
export type PoolMachine = Static<typeof machineSchema>;

export function poolMachine(made: Machine): PoolMachine {
  return checkInput(machineSchema, made.handle, 'handle of a machine');
}

/**
 * The machine of a pool that this execution holds; undefined when it works without one.
 *
 * @throws GodwitError MINION_UNUSABLE: it is gone
 */
export function pooledMinion(cloud: Cloud, ctx: ProviderContext): Promise<Minion> | undefined {
  const machine = ctx.pool?.machine ?? null;
  return machine === null ? undefined : minionOf(cloud, ctx, machine);
}

async function minionOf(cloud: Cloud, ctx: ProviderContext, made: Machine): Promise<Minion> {
  const machine = poolMachine(made);
  const server = await orNull(cloud.compute.server(made.id));
  return asMinion(ctx, machine, requireActive(cloud, machine, server));
}

export function asMinion(ctx: ProviderContext, machine: PoolMachine, server: Server): Minion {
  const { hostKeys, host, key, user } = machine;
  const { privateKey } = minionKey(credentialsOf(ctx), minionName(checkKey(key)));
  return { server, host, user, privateKey, hostKeys };
}

/** @throws GodwitError MINION_UNUSABLE */
export function requireActive(cloud: Cloud, { key }: PoolMachine, server: Server | null): Server {
  const object = `minion ${minionName(key)} of ${cloud.label}`;
  if (server === null) throw new GodwitError('MINION_UNUSABLE', object, { reason: 'it does not exist any more' });
  const task = server['OS-EXT-STS:task_state'] ?? null;
  if (server.status !== 'ACTIVE' || task === 'deleting') {
    throw new GodwitError('MINION_UNUSABLE', object, { reason: `its status is ${task ?? server.status}` });
  }
  return server;
}
