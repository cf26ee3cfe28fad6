import { SshConnection } from '@godwit/agent';
import { GodwitError, type JsonObject } from '@godwit/domain';
import {
  checkInput,
  type Machine,
  type MachineRequest,
  type PoolProvider,
  type PoolRequest,
  type ProviderContext,
} from '@godwit/provider';
import { detachVolumes } from './attachment.ts';
import type { Cloud } from './client/cloud.ts';
import type { Server } from './client/compute.ts';
import { openCloud } from './connection.ts';
import { type MinionEnvironment, poolSchema } from './environment.ts';
import { checkKey, PREFIX, tagOf } from './mark.ts';
import { findMinion, minionName, openMinion, removeMinion, running, whyNoMinion } from './minion.ts';
import { takeGroup } from './minion-group.ts';
import { asMinion, poolMachine, requireActive } from './pool-machine.ts';
import { orNull, waitUntil } from './wait.ts';

/** ms that a machine may take from ACTIVE to an answer by SSH; emulated ones take a minute and more. */
const BOOT_MS = 240_000;
/** The same for one that has run for longer than that. */
const ANSWER_MS = 30_000;
const STOP_S = 300;

/** Machines kept ready in a cloud: the same as minions of one execution, with one security group for all of a pool. */
export const pools: PoolProvider = {
  sourceSchema: poolSchema,
  destinationSchema: poolSchema,
  validate,
  createShared,
  deleteShared: async (ctx, { key }) => {
    await removeShared(openCloud(ctx), checkKey(key));
    await ctx.ledger.removed('pool', sharedName(key));
  },
  createMachine,
  deleteMachine: async (ctx, { key }) => {
    await removeMinion(openCloud(ctx), checkKey(key));
    await ctx.ledger.removed('export', minionName(key));
  },
  startMachine: async (ctx, _machine, made) => {
    const cloud = openCloud(ctx);
    const server = await orNull(cloud.compute.server(made.id));
    // One that is gone does not pass the check that follows.
    if (server !== null && server.status !== 'ERROR') await running(cloud, server);
  },
  stopMachine,
  checkMachine,
};

function environmentOf({ environment }: Pick<PoolRequest, 'environment'>): MinionEnvironment {
  return checkInput(poolSchema, environment, 'environment_options');
}

async function validate(ctx: ProviderContext, pool: PoolRequest): Promise<void> {
  const refuse = (reason: string) => new GodwitError('INVALID_INPUT', ctx.endpoint, { reason });
  if (pool.osType !== 'linux') throw refuse(`machines of this provider run linux, not ${pool.osType}`);
  const missing = await whyNoMinion(openCloud(ctx), environmentOf(pool));
  if (missing !== null) throw refuse(missing);
}

const sharedName = (key: string): string => `${PREFIX}p-${key}`;

async function createShared(ctx: ProviderContext, pool: PoolRequest): Promise<JsonObject> {
  const key = checkKey(pool.key);
  const name = sharedName(key);
  const entry = await ctx.ledger.intend('pool', name, { key });
  const group = await takeGroup(openCloud(ctx), name, key, environmentOf(pool).minion_allowed_cidr);
  await ctx.ledger.made(entry);
  return { security_group_id: group, security_group: name };
}

/** Removes the security group of a pool. Gone already is success. */
export async function removeShared(cloud: Cloud, key: string): Promise<void> {
  const name = sharedName(key);
  for (const group of await cloud.network.securityGroups({ name, tags: tagOf(key) })) {
    await orNull(cloud.network.delete('security-groups', group.id));
  }
}

async function createMachine(ctx: ProviderContext, machine: MachineRequest): Promise<Machine> {
  const cloud = openCloud(ctx);
  const key = checkKey(machine.key);
  const group = machine.shared.security_group_id;
  const minion = await openMinion(
    cloud,
    ctx,
    key,
    environmentOf(machine),
    typeof group === 'string' ? group : undefined,
  );
  const { host, hostKeys, server, user } = minion;
  return {
    id: server.id,
    connection: { ip: host, port: 22, username: user },
    handle: { key, host, user, hostKeys },
  };
}

async function stopMachine(ctx: ProviderContext, _machine: MachineRequest, made: Machine): Promise<void> {
  const cloud = openCloud(ctx);
  const off = ({ status }: Server) => status === 'SHUTOFF' || status === 'ERROR';
  const server = await orNull(cloud.compute.server(made.id));
  if (server === null || off(server)) return;
  await cloud.compute.action(server.id, { 'os-stop': null });
  await waitUntil(
    cloud.signal,
    { object: `minion ${server.name} of ${cloud.label}`, until: 'SHUTOFF', seconds: STOP_S },
    () => orNull(cloud.compute.server(server.id)),
    (seen) => seen === null || off(seen),
  );
}

async function checkMachine(ctx: ProviderContext, machine: MachineRequest, made: Machine): Promise<void> {
  const cloud = openCloud(ctx);
  const known = poolMachine(made);
  const found = await findMinion(cloud, checkKey(machine.key));
  const server = requireActive(cloud, known, found?.id === made.id ? found : null);
  const object = `minion ${server.name} of ${cloud.label}`;
  const left = (await cloud.compute.attachments(server.id)).map(({ volumeId }) => volumeId);
  const { host, hostKeys, privateKey, user } = asMinion(ctx, known, server);
  const ssh = { host, user, privateKey, hostKeys, label: object, workDir: ctx.workDir };
  const age = Date.now() - Date.parse(server.updated ?? '');
  try {
    const connection = await SshConnection.open(ssh, ctx.signal, age > BOOT_MS ? ANSWER_MS : BOOT_MS);
    await connection.close();
  } catch (error) {
    if (ctx.signal.aborted || !(error instanceof GodwitError)) throw error;
    if (!['CONNECTION_FAILED', 'AUTHENTICATION_FAILED', 'CONFLICT'].includes(error.code)) throw error;
    throw new GodwitError('MINION_UNUSABLE', object, { reason: error.message }, { cause: error });
  }
  await detachVolumes(cloud, server.id, left);
}
