import { execFile } from 'node:child_process';
import { appendFile, mkdir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { GodwitError, type InstanceInfo, type JsonObject } from '@godwit/domain';
import type { Provider, ProviderContext, TargetDisk } from '@godwit/provider';
import { Type } from 'typebox';
import { folderPools, useMachine } from './folder-machines.ts';

const root = (ctx: ProviderContext): string => String(ctx.connectionInfo.path);
const exists = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false,
  );
/** With holes where there are zeroes. */
const copyFile = async (from: string, to: string): Promise<void> => {
  await promisify(execFile)('cp', ['--sparse=always', from, to]);
};
/** One line for each thing that was made, beside the folder: what was done twice stands there twice. */
const record = (ctx: ProviderContext, line: string): Promise<void> => appendFile(`${root(ctx)}.made`, `${line}\n`);
const pathOf = (handle: JsonObject): string => String(handle.path);

async function diskFiles(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => name.endsWith('.raw')).sort();
}

async function describe(ctx: ProviderContext, id: string): Promise<InstanceInfo> {
  const folder = path.join(root(ctx), id);
  if (!(await exists(folder))) throw new GodwitError('NOT_FOUND', `instance ${id}`);
  const names = await diskFiles(folder);
  const disks = await Promise.all(
    names.map(async (name) => ({
      id: path.basename(name, '.raw'),
      size_bytes: (await stat(path.join(folder, name))).size,
      format: 'raw',
    })),
  );
  return {
    id,
    name: id,
    num_cpu: 1,
    memory_mb: 128,
    os_type: 'linux',
    firmware_type: 'BIOS',
    running: !(await exists(path.join(folder, 'stopped'))),
    secure_boot: false,
    nested_virtualization: false,
    dynamic_memory_enabled: false,
    hostname: null,
    boot_order: [],
    devices: { disks, nics: [], cdroms: [], serial_ports: [], floppies: [], controllers: [] },
  };
}

/**
 * The smallest real platform: a folder of instances, each a folder of raw files. A snapshot is a copy of the files; nothing
 * is tracked, so every run compares.
 */
export const folderProvider: Provider = {
  name: 'folder',
  connectionSchema: Type.Object({ path: Type.String() }),
  validateConnection: async (ctx) => {
    if (!(await exists(root(ctx)))) {
      throw new GodwitError('CONNECTION_FAILED', ctx.endpoint, { reason: `${root(ctx)} does not exist` });
    }
  },
  listInstances: async (ctx) => {
    const names = (await readdir(root(ctx))).filter((name) => !name.startsWith('.')).sort();
    return Promise.all(names.map((name) => describe(ctx, name)));
  },
  getInstance: (ctx, id) => describe(ctx, id),
  remove: async (_ctx, entry) => {
    await rm(pathOf(entry.handle), { recursive: true, force: true });
  },
  pools: folderPools,
  source: {
    environmentSchema: Type.Object({}),
    validate: async (ctx, instance) => {
      await describe(ctx, instance);
    },
    snapshot: async (ctx, request) => {
      const folder = path.join(root(ctx), '.snapshots', request.key);
      const done = path.join(folder, 'done');
      if (!(await exists(done))) {
        if (request.resume) throw new GodwitError('SNAPSHOT_LOST', `instance ${request.instance}`);
        const entry = await ctx.ledger.intend('snapshot', request.key, { path: folder });
        await rm(folder, { recursive: true, force: true });
        await mkdir(folder, { recursive: true });
        const from = path.join(root(ctx), request.instance);
        for (const name of await diskFiles(from)) await copyFile(path.join(from, name), path.join(folder, name));
        await writeFile(done, new Date().toISOString());
        await record(ctx, `snapshot ${request.key}`);
        await ctx.ledger.made(entry);
      }
      const names = await diskFiles(folder);
      return {
        key: request.key,
        instance: request.instance,
        takenAt: await readFile(done, 'utf8'),
        consistency: 'crash',
        handle: { path: folder },
        disks: await Promise.all(
          names.map(async (name) => ({
            id: path.basename(name, '.raw'),
            size: (await stat(path.join(folder, name))).size,
            token: null,
            changes: 'unknown' as const,
            reason: 'files are not tracked',
          })),
        ),
      };
    },
    open: async (ctx, snapshot) => ({
      close: await useMachine(ctx, snapshot.key),
      addresses: Object.fromEntries(
        snapshot.disks.map((disk) => [
          disk.id,
          { kind: 'file' as const, path: path.join(pathOf(snapshot.handle), `${disk.id}.raw`), readOnly: true },
        ]),
      ),
    }),
    release: async (ctx, snapshot) => {
      await rm(pathOf(snapshot.handle), { recursive: true, force: true });
      await ctx.ledger.removed('snapshot', snapshot.key);
    },
    dropToken: () => Promise.resolve(),
    shutdown: (ctx, instance) => writeFile(path.join(root(ctx), instance, 'stopped'), ''),
    powerOn: (ctx, instance) => rm(path.join(root(ctx), instance, 'stopped'), { force: true }),
  },
  target: {
    environmentSchema: Type.Object({}),
    validate: async (ctx) => {
      if (!(await exists(root(ctx)))) {
        throw new GodwitError('CONNECTION_FAILED', ctx.endpoint, { reason: `${root(ctx)} does not exist` });
      }
    },
    createDisks: async (ctx, request, existing) =>
      Promise.all(
        request.instance.devices.disks.map(async (disk): Promise<TargetDisk> => {
          const old = existing.find((one) => one.id === disk.id);
          if (old !== undefined) return old;
          const file = path.join(root(ctx), `${request.key}-${disk.id}.raw`);
          const entry = await ctx.ledger.intend('disk', path.basename(file), { path: file }, 'transfer');
          const isNew = !(await exists(file));
          if (isNew) {
            await writeFile(file, '');
            await record(ctx, `disk ${path.basename(file)}`);
          }
          await truncate(file, disk.size_bytes);
          await ctx.ledger.made(entry);
          return { id: disk.id, size: disk.size_bytes, zeroed: isNew, handle: { path: file } };
        }),
      ),
    openDisks: async (ctx, disks, readOnly) => ({
      close: await useMachine(ctx, disks.map((disk) => pathOf(disk.handle)).join(' ')),
      addresses: Object.fromEntries(
        disks.map((disk) => [disk.id, { kind: 'file' as const, path: pathOf(disk.handle), readOnly }]),
      ),
    }),
    deleteDisks: async (ctx, disks) => {
      for (const disk of disks) {
        await rm(pathOf(disk.handle), { force: true });
        await ctx.ledger.removed('disk', path.basename(pathOf(disk.handle)));
      }
    },
    snapshotDisks: async (ctx, key, disks) => {
      for (const disk of disks) {
        const point = `${pathOf(disk.handle)}.${key}`;
        const entry = await ctx.ledger.intend('disk_snapshot', path.basename(point), { path: point }, 'deployment');
        await copyFile(pathOf(disk.handle), point);
        await ctx.ledger.made(entry);
      }
      return disks;
    },
    restoreDisks: async (_ctx, key, disks) => {
      for (const disk of disks) {
        const point = `${pathOf(disk.handle)}.${key}`;
        if (await exists(point)) await copyFile(point, pathOf(disk.handle));
      }
      return disks;
    },
    deleteDiskSnapshots: async (ctx, key, disks) => {
      for (const disk of disks) {
        const point = `${pathOf(disk.handle)}.${key}`;
        await rm(point, { force: true });
        await ctx.ledger.removed('disk_snapshot', path.basename(point));
      }
      return disks;
    },
    deployInstance: async (ctx, request) => {
      const name = `${request.test ? 'test-' : ''}${request.instance.name}-${request.key}`;
      const folder = path.join(root(ctx), name);
      const keep = request.test ? 'deployment' : 'forever';
      const entry = await ctx.ledger.intend('instance', name, { path: folder }, 'deployment');
      await mkdir(folder, { recursive: true });
      for (const disk of request.disks) {
        const file = path.join(folder, `${disk.id}.raw`);
        if (request.clone) await copyFile(pathOf(disk.handle), file);
        else await writeFile(`${file}.link`, pathOf(disk.handle));
      }
      await ctx.ledger.made(entry);
      return { id: name, name, handle: { path: folder, keep } };
    },
    finalizeInstance: async (ctx, request, deployed) => {
      await writeFile(path.join(pathOf(deployed.handle), 'booted'), '');
      const entry = await ctx.ledger.intend(
        'instance',
        deployed.name,
        { path: pathOf(deployed.handle) },
        request.test ? 'deployment' : 'forever',
      );
      await ctx.ledger.made(entry);
      return { ...request.instance, id: deployed.id, name: deployed.name, running: true };
    },
    removeInstance: async (ctx, deployed) => {
      await rm(pathOf(deployed.handle), { recursive: true, force: true });
      await ctx.ledger.removed('instance', deployed.name);
    },
  },
};
