import { appendFile, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { GodwitError } from '@godwit/domain';
import type { MachineRequest, PoolProvider, ProviderContext } from '@godwit/provider';
import { Type } from 'typebox';

const root = (ctx: ProviderContext): string => String(ctx.connectionInfo.path);
const exists = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false,
  );
const record = (ctx: ProviderContext, line: string): Promise<void> => appendFile(`${root(ctx)}.made`, `${line}\n`);
const machineFolder = (ctx: ProviderContext, { key }: Pick<MachineRequest, 'key'>): string =>
  path.join(root(ctx), '.machines', key);
const poolFile = (ctx: ProviderContext, key: string): string => path.join(root(ctx), '.pools', key);

async function demandAnswer(ctx: ProviderContext): Promise<void> {
  if (!(await exists(path.join(root(ctx), '.away')))) return;
  throw new GodwitError('CONNECTION_FAILED', ctx.endpoint, { reason: 'it does not answer' });
}

const schema = Type.Object(
  { size: Type.Optional(Type.Integer({ minimum: 0 })) },
  { additionalProperties: false, title: 'Machines of the folder' },
);

/**
 * Machines of the folder platform: a folder each, with a file `on` while it runs, `user` while somebody works with it and
 * `broken` when a test has broken it. A file `.full` beside them: no more fit. A file `.away`: nothing answers.
 */
export const folderPools: PoolProvider = {
  sourceSchema: schema,
  destinationSchema: schema,
  validate: async (ctx, pool) => {
    await demandAnswer(ctx);
    if (pool.environment.size === 0) {
      throw new GodwitError('INVALID_INPUT', ctx.endpoint, { reason: 'a machine of size 0 cannot be made' });
    }
  },
  createShared: async (ctx, pool) => {
    const file = poolFile(ctx, pool.key);
    const entry = await ctx.ledger.intend('pool', pool.key, { path: file });
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, '');
    await ctx.ledger.made(entry);
    return { path: file };
  },
  deleteShared: async (ctx, pool) => {
    await demandAnswer(ctx);
    await rm(poolFile(ctx, pool.key), { force: true });
    await ctx.ledger.removed('pool', pool.key);
  },
  createMachine: async (ctx, machine) => {
    const folder = machineFolder(ctx, machine);
    if (!(await exists(String(machine.shared.path)))) {
      throw new GodwitError('PLATFORM_ERROR', ctx.endpoint, { reason: 'what the machines share is missing' });
    }
    if (!(await exists(folder)) && (await exists(path.join(root(ctx), '.full')))) {
      throw new GodwitError('QUOTA_EXCEEDED', ctx.endpoint, { reason: 'the folder is full' });
    }
    const entry = await ctx.ledger.intend('export', machine.key, { path: folder });
    if (!(await exists(folder))) {
      // Told first: a kill in between leaves it told twice, never made and untold.
      await record(ctx, `machine ${machine.key}`);
      await mkdir(folder, { recursive: true });
    }
    await writeFile(path.join(folder, 'on'), '');
    await ctx.ledger.made(entry);
    return { id: machine.key, connection: { ip: '127.0.0.1', port: 22, username: 'me' }, handle: { path: folder } };
  },
  deleteMachine: async (ctx, machine) => {
    await rm(machineFolder(ctx, machine), { recursive: true, force: true });
    await ctx.ledger.removed('export', machine.key);
  },
  startMachine: async (ctx, machine) => {
    if (await exists(machineFolder(ctx, machine))) await writeFile(path.join(machineFolder(ctx, machine), 'on'), '');
  },
  stopMachine: (ctx, machine) => rm(path.join(machineFolder(ctx, machine), 'on'), { force: true }),
  checkMachine: async (ctx, machine) => {
    await demandAnswer(ctx);
    const folder = machineFolder(ctx, machine);
    const sound = (await exists(path.join(folder, 'on'))) && !(await exists(path.join(folder, 'broken')));
    if (!sound) throw new GodwitError('MINION_UNUSABLE', `machine ${machine.key}`, { reason: 'it does not answer' });
    await rm(path.join(folder, 'user'), { force: true });
  },
};

/** Works through the machine of the pool, if there is one. Two at once leave a line behind. Returns what ends it. */
export async function useMachine(ctx: ProviderContext, user: string): Promise<() => Promise<void>> {
  if (ctx.pool === undefined) return () => Promise.resolve();
  const { machine } = ctx.pool;
  if (machine === null) throw new GodwitError('INTERNAL', ctx.endpoint, { reason: 'no machine was given' });
  const file = path.join(String(machine.handle.path), 'user');
  try {
    await writeFile(file, user, { flag: 'wx' });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EEXIST') {
      throw new GodwitError('CONNECTION_FAILED', `machine ${machine.id}`, { reason: 'it is gone' }, { cause: error });
    }
    await record(ctx, `shared ${machine.id} ${await readFile(file, 'utf8')} and ${user}`);
  }
  await record(ctx, `used ${machine.id} ${user}`);
  return () => rm(file, { force: true });
}
