import { createHash } from 'node:crypto';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type DiskAddress, type ServedImage, serveImage } from '@godwit/disk';
import { GodwitError } from '@godwit/domain';
import type { OpenDisks, ProviderContext } from '@godwit/provider';
import type { Cloud } from './client/cloud.ts';
import type { Image } from './client/image.ts';
import { GIB } from './inventory.ts';
import { marksOf } from './mark.ts';
import { type FrozenDisk, frozenImage, frozenImages, imageReady, sourceName, thawedVolume } from './source-things.ts';
import { findOrCreate, orNull } from './wait.ts';

/** Bytes looked at at once for zeroes, which are left out of the file. */
const BLOCK = 65_536;
const ZEROES = Buffer.alloc(BLOCK);

/** Brings frozen disks here as whole images and serves the files. `close` ends the serving and removes the files. */
export async function openImages(
  cloud: Cloud,
  ctx: ProviderContext,
  key: string,
  disks: Readonly<Record<string, FrozenDisk>>,
): Promise<OpenDisks> {
  const folder = join(ctx.workDir, 'images');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const served: ServedImage[] = [];
  const paths: string[] = [];
  const close = async () => {
    await Promise.all(served.map((one) => one.close()));
    await Promise.all(paths.map((path) => rm(path, { force: true })));
  };
  try {
    const addresses: Record<string, DiskAddress> = {};
    for (const [id, frozen] of Object.entries(disks)) {
      const image = await imageOf(cloud, key, id, frozen);
      const path = join(folder, sourceName(key, id));
      paths.push(path);
      await download(cloud, ctx, image, path, image.disk_format === 'raw' ? frozen.gib * GIB : null);
      if (image.disk_format === 'raw') {
        addresses[id] = { kind: 'file', path, readOnly: true };
      } else if (image.disk_format === 'qcow2') {
        const server = await serveImage({ path, format: 'qcow2', readOnly: true, workDir: ctx.workDir }, ctx.signal);
        served.push(server);
        addresses[id] = server.address;
      } else {
        const what = `the image format ${image.disk_format}`;
        throw new GodwitError('UNSUPPORTED', `image ${image.id} of ${cloud.label}`, { what });
      }
    }
    return { addresses, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The image that holds the frozen bytes of a disk. */
async function imageOf(cloud: Cloud, key: string, disk: string, frozen: FrozenDisk): Promise<Image> {
  if (frozen.kind === 'image') return frozenImage(cloud, frozen.image);
  const name = sourceName(key, disk);
  const find = async () => (await frozenImages(cloud, key)).find((image) => image.name === name)?.id ?? null;
  const known = await find();
  if (known !== null) return uploadedImage(cloud, known, name);
  const volume = await thawedVolume(cloud, key, disk, frozen);
  const id = await findOrCreate(find, () => cloud.volumes.uploadToImage(volume.id, name));
  return uploadedImage(cloud, id, name, () => cloud.images.setProperties(id, marksOf(key, 'source')));
}

/** @throws GodwitError BUSY: somebody deleted it while it was uploaded; the volume is there, so another can be made */
async function uploadedImage(cloud: Cloud, id: string, name: string, mark?: () => Promise<void>): Promise<Image> {
  try {
    await mark?.();
    return await imageReady(cloud, id);
  } catch (error) {
    if ((await orNull(cloud.images.image(id)))?.status === 'active') throw error;
    if (!(error instanceof GodwitError) || !['NOT_FOUND', 'PLATFORM_ERROR'].includes(error.code)) throw error;
    await orNull(cloud.images.deleteImage(id));
    const reason = 'somebody deleted the image while it was uploaded';
    throw new GodwitError('BUSY', `image ${name} of ${cloud.label}`, { reason }, { cause: error });
  }
}

/**
 * Streams an image into a sparse file and checks it against the hash that Glance keeps.
 *
 * @param size bytes that the file has afterwards; null: as many as come
 */
async function download(
  cloud: Cloud,
  ctx: ProviderContext,
  image: Image,
  path: string,
  size: number | null,
): Promise<void> {
  const object = `image ${image.name ?? image.id} of ${cloud.label}`;
  const hash = image.os_hash_algo === 'sha512' && image.os_hash_value ? createHash('sha512') : null;
  await rm(path, { force: true });
  const file = await open(path, 'wx', 0o600);
  let at = 0;
  try {
    const body = await cloud.images.download(image.id);
    for await (const part of body) {
      const bytes: Buffer = Buffer.isBuffer(part) ? part : Buffer.from(part);
      hash?.update(bytes);
      await writeSparse(file, bytes, at);
      at += bytes.length;
    }
    await file.truncate(Math.max(at, size ?? 0));
  } catch (error) {
    if (ctx.signal.aborted) throw new GodwitError('CANCELED', object, {}, { cause: error });
    throw await downloadError(cloud, image, object, error);
  } finally {
    await file.close();
  }
  if (hash !== null && hash.digest('hex') !== image.os_hash_value) {
    const reason = `the bytes that came (${at}) do not have the hash that Glance keeps`;
    throw new GodwitError('CONNECTION_FAILED', object, { reason });
  }
}

/** An image that somebody deleted is lost; anything else may pass. */
async function downloadError(cloud: Cloud, image: Image, object: string, error: unknown): Promise<GodwitError> {
  if ((await orNull(cloud.images.image(image.id))) === null) {
    return new GodwitError('SNAPSHOT_LOST', object, {}, { cause: error });
  }
  return GodwitError.wrap(error, 'CONNECTION_FAILED', object);
}

/** Writes what is not zero; the rest stays a hole. */
async function writeSparse(
  file: { write(b: Buffer, o: number, l: number, p: number): Promise<unknown> },
  bytes: Buffer,
  at: number,
): Promise<void> {
  let start = 0;
  while (start < bytes.length) {
    const end = Math.min(start + BLOCK, bytes.length);
    const block = bytes.subarray(start, end);
    if (!block.equals(ZEROES.subarray(0, block.length))) await file.write(bytes, start, block.length, at + start);
    start = end;
  }
}
