import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { runTool, serveImage } from '@godwit/disk';
import { GodwitError, type InstanceInfo } from '@godwit/domain';
import type { Provider, ProviderContext } from '@godwit/provider';
import { Type } from 'typebox';
import { folderProvider } from './folder-provider.ts';

/** Runs qemu-img; gives what it printed. */
export async function qemuImg(...args: string[]): Promise<string> {
  const result = await runTool('qemu-img', args, 'a tracked disk');
  if (result.code !== 0) throw new GodwitError('PLATFORM_ERROR', 'a tracked disk', { reason: result.stderr });
  return result.stdout;
}

/** Names of the change bitmaps of a disk. */
export async function bitmapsOf(file: string): Promise<string[]> {
  const info = JSON.parse(await qemuImg('info', '--output=json', file)) as {
    'format-specific': { data: { bitmaps?: { name: string }[] } };
  };
  return (info['format-specific'].data.bitmaps ?? []).map(({ name }) => name);
}

async function sizeOf(file: string): Promise<number> {
  const info = JSON.parse(await qemuImg('info', '--output=json', file)) as { 'virtual-size': number };
  return info['virtual-size'];
}

const homeOf = (ctx: ProviderContext, instance: string) => path.join(String(ctx.connectionInfo.path), instance);
const pathOf = (handle: { path?: unknown }) => String(handle.path);

async function disksOf(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => name.endsWith('.qcow2')).sort();
}

async function describe(ctx: ProviderContext, id: string): Promise<InstanceInfo> {
  const home = homeOf(ctx, id);
  const names = await disksOf(home);
  return {
    id,
    name: id,
    num_cpu: 1,
    memory_mb: 128,
    os_type: 'linux',
    firmware_type: 'BIOS',
    running: true,
    secure_boot: false,
    nested_virtualization: false,
    dynamic_memory_enabled: false,
    hostname: null,
    boot_order: [],
    devices: {
      disks: await Promise.all(
        names.map(async (name) => ({
          id: path.basename(name, '.qcow2'),
          size_bytes: await sizeOf(path.join(home, name)),
          format: 'qcow2',
        })),
      ),
      nics: [],
      cdroms: [],
      serial_ports: [],
      floppies: [],
      controllers: [],
    },
  };
}

/**
 * A platform with real change tracking: a folder of instances, each a folder of qcow2 images. A snapshot is a copy of the
 * images; a token is a dirty bitmap that QEMU keeps in each image from that moment on.
 */
export const trackedProvider: Provider = {
  ...folderProvider,
  name: 'tracked',
  connectionSchema: Type.Object({ path: Type.String() }),
  getInstance: (ctx, id) => describe(ctx, id),
  source: {
    environmentSchema: Type.Object({}),
    validate: async (ctx, instance) => {
      await describe(ctx, instance);
    },
    snapshot: async (ctx, request) => {
      const folder = path.join(String(ctx.connectionInfo.path), '.snapshots', request.key);
      const done = path.join(folder, 'done');
      const home = homeOf(ctx, request.instance);
      if (!existsSync(done)) {
        if (request.resume) throw new GodwitError('SNAPSHOT_LOST', `instance ${request.instance}`);
        const entry = await ctx.ledger.intend('snapshot', request.key, { path: folder });
        await rm(folder, { recursive: true, force: true });
        await mkdir(folder, { recursive: true });
        for (const name of await disksOf(home)) {
          const file = path.join(home, name);
          if ((await bitmapsOf(file)).includes(request.key)) await qemuImg('bitmap', '--remove', file, request.key);
          await copyFile(file, path.join(folder, name));
          await qemuImg('bitmap', '--add', '-g', '65536', file, request.key);
        }
        await writeFile(done, new Date().toISOString());
        await ctx.ledger.made(entry);
      }
      const disks = [];
      const since: Record<string, string | null> = {};
      for (const name of await disksOf(folder)) {
        const id = path.basename(name, '.qcow2');
        const file = path.join(folder, name);
        const token = request.tokens[id] ?? null;
        const known = token !== null && (await bitmapsOf(file)).includes(token);
        since[id] = known ? token : null;
        const changes = known ? ('exact' as const) : ('unknown' as const);
        disks.push({ id, size: await sizeOf(file), token: request.key, changes });
      }
      return {
        key: request.key,
        instance: request.instance,
        takenAt: await readFile(done, 'utf8'),
        consistency: 'crash',
        handle: { path: folder, since },
        disks,
      };
    },
    open: async (ctx, snapshot) => {
      const since = snapshot.handle.since as Record<string, string | null>;
      const servers = await Promise.all(
        snapshot.disks.map(async ({ id }) => {
          const bitmap = since[id];
          const file = path.join(pathOf(snapshot.handle), `${id}.qcow2`);
          const server = await serveImage(
            {
              path: file,
              format: 'qcow2',
              readOnly: true,
              workDir: ctx.workDir,
              ...(typeof bitmap === 'string' ? { bitmap } : {}),
            },
            ctx.signal,
          );
          return { id, server };
        }),
      );
      return {
        addresses: Object.fromEntries(servers.map(({ id, server }) => [id, server.address])),
        close: async () => {
          await Promise.all(servers.map(({ server }) => server.close()));
        },
      };
    },
    check: async (_ctx, snapshot) => {
      if (!existsSync(path.join(pathOf(snapshot.handle), 'done'))) {
        throw new GodwitError('SNAPSHOT_LOST', `instance ${snapshot.instance}`);
      }
    },
    release: async (ctx, snapshot, keepToken) => {
      await rm(pathOf(snapshot.handle), { recursive: true, force: true });
      await ctx.ledger.removed('snapshot', snapshot.key);
      if (!keepToken) await dropBitmap(homeOf(ctx, snapshot.instance), snapshot.key);
    },
    dropToken: (ctx, instance, token) => dropBitmap(homeOf(ctx, instance), token),
    shutdown: () => Promise.resolve(),
    powerOn: () => Promise.resolve(),
  },
};

async function dropBitmap(home: string, name: string): Promise<void> {
  for (const disk of await disksOf(home)) {
    const file = path.join(home, disk);
    if ((await bitmapsOf(file)).includes(name)) await qemuImg('bitmap', '--remove', file, name);
  }
}
