import type { Readable } from 'node:stream';
import { type Static, Type } from 'typebox';
import { type Query, Service } from './service.ts';
import type { Session } from './session.ts';

const PAGE = 200;
const nullable = <T extends Type.TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]));

/** Further fields are the image's properties: texts for the most part. */
const imageSchema = Type.Object({
  id: Type.String(),
  name: Type.Union([Type.String(), Type.Null()]),
  status: Type.String(),
  size: nullable(Type.Integer()),
  virtual_size: nullable(Type.Integer()),
  disk_format: nullable(Type.String()),
  container_format: nullable(Type.String()),
  min_disk: Type.Optional(Type.Integer()),
  min_ram: Type.Optional(Type.Integer()),
  os_hash_algo: nullable(Type.String()),
  os_hash_value: nullable(Type.String()),
  owner: nullable(Type.String()),
  os_type: nullable(Type.String()),
  os_distro: nullable(Type.String()),
  hw_firmware_type: nullable(Type.String()),
});
export type Image = Static<typeof imageSchema>;

/** Body of a new image, in Glance's names; further fields become properties. */
export interface NewImage {
  name: string;
  disk_format: 'raw' | 'qcow2';
  container_format: 'bare';
  [property: string]: string;
}

/** Glance. */
export class Images extends Service {
  constructor(session: Session, signal: AbortSignal, label: string) {
    super(session, 'image', signal, label);
  }

  async images(query: Query = {}): Promise<Image[]> {
    return this.all(
      Type.Object({ images: Type.Array(imageSchema) }),
      { method: 'GET', path: '/images', query, object: this.name('images'), pageSize: PAGE },
      ({ images }) => images,
    );
  }

  async image(id: string): Promise<Image> {
    return this.read(imageSchema, { method: 'GET', path: `/images/${id}`, object: this.name(`image ${id}`) });
  }

  async createImage(image: NewImage): Promise<Image> {
    const object = this.name(`image ${image.name}`);
    return this.read(imageSchema, { method: 'POST', path: '/images', json: image, object });
  }

  /** Sends the bytes; the image is `active` after it. A broken stream leaves it `queued` or `killed`: delete it. */
  async upload(id: string, bytes: Readable): Promise<void> {
    await this.send({
      method: 'PUT',
      path: `/images/${id}/file`,
      body: bytes,
      headers: { 'content-type': 'application/octet-stream' },
      object: this.name(`upload of image ${id}`),
    });
  }

  download(id: string): Promise<Readable> {
    const headers = { accept: 'application/octet-stream' };
    return this.stream({ method: 'GET', path: `/images/${id}/file`, headers, object: this.name(`image ${id}`) });
  }

  async deleteImage(id: string): Promise<void> {
    await this.send({ method: 'DELETE', path: `/images/${id}`, object: this.name(`image ${id}`) });
  }

  /** Sets properties, replacing those of the same names. */
  async setProperties(id: string, properties: Record<string, string>): Promise<void> {
    await this.send({
      method: 'PATCH',
      path: `/images/${id}`,
      headers: { 'content-type': 'application/openstack-images-v2.1-json-patch' },
      json: Object.entries(properties).map(([name, value]) => ({ op: 'add', path: `/${name}`, value })),
      object: this.name(`properties of image ${id}`),
    });
  }
}
