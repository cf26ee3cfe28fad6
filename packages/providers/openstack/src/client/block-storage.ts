import { type Static, Type } from 'typebox';
import { type Query, Service } from './service.ts';
import type { Session } from './session.ts';

/** 3.27 has attachments, 3.40 reverts to a snapshot. */
const VERSION = { wanted: '3.60', least: '3.27' };
const PAGE = 200;

const nullable = <T extends Type.TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]));
const texts = Type.Record(Type.String(), Type.String());

const volumeSchema = Type.Object({
  id: Type.String(),
  name: Type.Union([Type.String(), Type.Null()]),
  status: Type.String(),
  /** GiB. */
  size: Type.Integer(),
  volume_type: nullable(Type.String()),
  bootable: Type.Optional(Type.Union([Type.String(), Type.Boolean()])),
  metadata: Type.Optional(texts),
  volume_image_metadata: nullable(texts),
  availability_zone: nullable(Type.String()),
  multiattach: Type.Optional(Type.Boolean()),
  encrypted: Type.Optional(Type.Boolean()),
  group_id: nullable(Type.String()),
  attachments: Type.Optional(Type.Array(Type.Object({ server_id: Type.String(), device: nullable(Type.String()) }))),
});
export type Volume = Static<typeof volumeSchema>;

const snapshotSchema = Type.Object({
  id: Type.String(),
  name: Type.Union([Type.String(), Type.Null()]),
  status: Type.String(),
  volume_id: Type.String(),
  size: Type.Integer(),
  created_at: nullable(Type.String()),
  metadata: Type.Optional(texts),
  group_snapshot_id: nullable(Type.String()),
});
export type VolumeSnapshot = Static<typeof snapshotSchema>;

const typeSchema = Type.Object({
  id: Type.String(),
  name: Type.String(),
  extra_specs: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
});
export type VolumeType = Static<typeof typeSchema>;

const groupTypeSchema = Type.Object({ group_specs: Type.Optional(texts) });
const groupSchema = Type.Object({ id: Type.String(), group_type: nullable(Type.String()) });
const groupSnapshotSchema = Type.Object({
  id: Type.String(),
  name: nullable(Type.String()),
  status: Type.Optional(Type.String()),
});

const limitsSchema = Type.Object({
  limits: Type.Object({
    absolute: Type.Object({
      maxTotalVolumes: Type.Integer(),
      totalVolumesUsed: Type.Integer(),
      maxTotalVolumeGigabytes: Type.Integer(),
      totalGigabytesUsed: Type.Integer(),
      maxTotalSnapshots: Type.Integer(),
      totalSnapshotsUsed: Type.Integer(),
    }),
  }),
});
export type VolumeLimits = Static<typeof limitsSchema>['limits']['absolute'];

/** Body of a new volume, in Cinder's names. */
export interface NewVolume {
  name: string;
  /** GiB. */
  size: number;
  metadata: Record<string, string>;
  volume_type?: string;
  availability_zone?: string;
  snapshot_id?: string;
  source_volid?: string;
  imageRef?: string;
  description?: string;
}

/** Cinder. */
export class BlockStorage extends Service {
  constructor(session: Session, signal: AbortSignal, label: string) {
    super(session, 'volume', signal, label);
  }

  async volumes(query: Query = {}): Promise<Volume[]> {
    return this.all(
      Type.Object({ volumes: Type.Array(volumeSchema) }),
      { method: 'GET', path: '/volumes/detail', query, object: this.name('volumes'), version: VERSION, pageSize: PAGE },
      ({ volumes }) => volumes,
    );
  }

  async volume(id: string): Promise<Volume> {
    const request = {
      method: 'GET',
      path: `/volumes/${id}`,
      object: this.name(`volume ${id}`),
      version: VERSION,
    } as const;
    return (await this.read(Type.Object({ volume: volumeSchema }), request)).volume;
  }

  async createVolume(volume: NewVolume): Promise<Volume> {
    const object = this.name(`volume ${volume.name}`);
    const request = { method: 'POST', path: '/volumes', json: { volume }, object, version: VERSION } as const;
    return (await this.read(Type.Object({ volume: volumeSchema }), request)).volume;
  }

  /** @param cascade its snapshots, too */
  async deleteVolume(id: string, cascade = false): Promise<void> {
    const query = cascade ? { cascade: 'true' } : {};
    const object = this.name(`volume ${id}`);
    await this.send({ method: 'DELETE', path: `/volumes/${id}`, query, object, version: VERSION });
  }

  /** `os-extend`, `os-set_bootable`, `revert`, ...: done when the status says so. */
  async action(id: string, action: Record<string, unknown>): Promise<void> {
    const [verb] = Object.keys(action);
    await this.send({
      method: 'POST',
      path: `/volumes/${id}/action`,
      json: action,
      object: this.name(`${verb} of volume ${id}`),
      version: VERSION,
    });
  }

  /** Adds to the metadata; other entries stay. */
  async addMetadata(id: string, metadata: Record<string, string>): Promise<void> {
    await this.send({
      method: 'POST',
      path: `/volumes/${id}/metadata`,
      json: { metadata },
      object: this.name(`metadata of volume ${id}`),
      repeatable: true,
      version: VERSION,
    });
  }

  /** Removes one entry; gone already is NOT_FOUND. */
  async removeMetadata(id: string, name: string): Promise<void> {
    await this.send({
      method: 'DELETE',
      path: `/volumes/${id}/metadata/${encodeURIComponent(name)}`,
      object: this.name(`metadata of volume ${id}`),
      version: VERSION,
    });
  }

  /** Begins to write the volume into a new image; returns the image's id. */
  async uploadToImage(id: string, imageName: string): Promise<string> {
    const schema = Type.Object({ 'os-volume_upload_image': Type.Object({ image_id: Type.String() }) });
    const upload = { image_name: imageName, disk_format: 'raw', container_format: 'bare' };
    const answer = await this.read(schema, {
      method: 'POST',
      path: `/volumes/${id}/action`,
      json: { 'os-volume_upload_image': upload },
      object: this.name(`image of volume ${id}`),
      version: VERSION,
    });
    return answer['os-volume_upload_image'].image_id;
  }

  async snapshots(query: Query = {}): Promise<VolumeSnapshot[]> {
    const object = this.name('volume snapshots');
    return this.all(
      Type.Object({ snapshots: Type.Array(snapshotSchema) }),
      { method: 'GET', path: '/snapshots/detail', query, object, version: VERSION, pageSize: PAGE },
      ({ snapshots }) => snapshots,
    );
  }

  async snapshot(id: string): Promise<VolumeSnapshot> {
    const object = this.name(`volume snapshot ${id}`);
    const request = { method: 'GET', path: `/snapshots/${id}`, object, version: VERSION } as const;
    return (await this.read(Type.Object({ snapshot: snapshotSchema }), request)).snapshot;
  }

  async createSnapshot(volumeId: string, name: string, metadata: Record<string, string>): Promise<VolumeSnapshot> {
    const object = this.name(`snapshot of volume ${volumeId}`);
    const json = { snapshot: { volume_id: volumeId, name, metadata, force: true } };
    // From 3.66 on `force` is refused because it is always so; the wanted version is older.
    const request = { method: 'POST', path: '/snapshots', json, object, version: VERSION } as const;
    return (await this.read(Type.Object({ snapshot: snapshotSchema }), request)).snapshot;
  }

  /** Adds to the metadata; other entries stay. */
  async addSnapshotMetadata(id: string, metadata: Record<string, string>): Promise<void> {
    await this.send({
      method: 'POST',
      path: `/snapshots/${id}/metadata`,
      json: { metadata },
      object: this.name(`metadata of volume snapshot ${id}`),
      repeatable: true,
      version: VERSION,
    });
  }

  async deleteSnapshot(id: string): Promise<void> {
    const object = this.name(`volume snapshot ${id}`);
    await this.send({ method: 'DELETE', path: `/snapshots/${id}`, object, version: VERSION });
  }

  async types(): Promise<VolumeType[]> {
    const object = this.name('volume types');
    const request = { method: 'GET', path: '/types', object, version: VERSION } as const;
    return (await this.read(Type.Object({ volume_types: Type.Array(typeSchema) }), request)).volume_types;
  }

  async defaultType(): Promise<VolumeType> {
    const object = this.name('default volume type');
    const request = { method: 'GET', path: '/types/default', object, version: VERSION } as const;
    return (await this.read(Type.Object({ volume_type: typeSchema }), request)).volume_type;
  }

  async limits(): Promise<VolumeLimits> {
    const request = { method: 'GET', path: '/limits', object: this.name('quota'), version: VERSION } as const;
    return (await this.read(limitsSchema, request)).limits.absolute;
  }

  /** Whether snapshots of a volume group are of one moment, as far as the caller may know. */
  async isConsistentGroup(groupId: string): Promise<boolean> {
    const object = this.name(`volume group ${groupId}`);
    const group = await this.read(Type.Object({ group: groupSchema }), {
      method: 'GET',
      path: `/groups/${groupId}`,
      object,
      version: VERSION,
    });
    const type = group.group.group_type;
    if (!type) return false;
    const answer = await this.read(Type.Object({ group_type: groupTypeSchema }), {
      method: 'GET',
      path: `/group_types/${type}`,
      object,
      version: VERSION,
    });
    return /true/i.test(answer.group_type.group_specs?.consistent_group_snapshot_enabled ?? '');
  }

  async createGroupSnapshot(groupId: string, name: string): Promise<string> {
    const schema = Type.Object({ group_snapshot: groupSnapshotSchema });
    const answer = await this.read(schema, {
      method: 'POST',
      path: '/group_snapshots',
      json: { group_snapshot: { group_id: groupId, name } },
      object: this.name(`snapshot of volume group ${groupId}`),
      version: VERSION,
    });
    return answer.group_snapshot.id;
  }

  async groupSnapshots(query: Query): Promise<Static<typeof groupSnapshotSchema>[]> {
    const object = this.name('group snapshots');
    const schema = Type.Object({ group_snapshots: Type.Array(groupSnapshotSchema) });
    const request = { method: 'GET', path: '/group_snapshots/detail', query, object, version: VERSION } as const;
    return (await this.read(schema, request)).group_snapshots;
  }

  async deleteGroupSnapshot(id: string): Promise<void> {
    const object = this.name(`group snapshot ${id}`);
    await this.send({ method: 'DELETE', path: `/group_snapshots/${id}`, object, version: VERSION });
  }
}
