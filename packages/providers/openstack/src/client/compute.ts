import { type Static, Type } from 'typebox';
import { type Query, Service } from './service.ts';
import type { Session } from './session.ts';

/** 2.47 shows the flavor in the server, 2.79 tells what happens to volumes when the server goes. */
const VERSION = { wanted: '2.79', least: '2.47' };
const PAGE = 200;

const nullable = <T extends Type.TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]));
const texts = Type.Record(Type.String(), Type.String());

const serverSchema = Type.Object({
  id: Type.String(),
  name: Type.String(),
  status: Type.String(),
  'OS-EXT-STS:task_state': nullable(Type.String()),
  'OS-EXT-STS:vm_state': nullable(Type.String()),
  'OS-EXT-SRV-ATTR:user_data': nullable(Type.String()),
  'OS-EXT-SRV-ATTR:hostname': nullable(Type.String()),
  'OS-EXT-AZ:availability_zone': nullable(Type.String()),
  fault: Type.Optional(Type.Object({ message: Type.Optional(Type.String()) })),
  created: Type.Optional(Type.String()),
  updated: Type.Optional(Type.String()),
  image: Type.Union([Type.Object({ id: Type.String() }), Type.String(), Type.Null()]),
  flavor: Type.Object({
    original_name: Type.Optional(Type.String()),
    vcpus: Type.Integer(),
    ram: Type.Integer(),
    disk: Type.Integer(),
    ephemeral: Type.Optional(Type.Integer()),
    swap: Type.Optional(Type.Union([Type.Integer(), Type.String()])),
    extra_specs: Type.Optional(texts),
  }),
  key_name: nullable(Type.String()),
  metadata: Type.Optional(texts),
  tags: Type.Optional(Type.Array(Type.String())),
  config_drive: Type.Optional(Type.Union([Type.String(), Type.Boolean(), Type.Null()])),
  locked: Type.Optional(Type.Boolean()),
  security_groups: Type.Optional(Type.Array(Type.Object({ name: Type.String() }))),
  'os-extended-volumes:volumes_attached': Type.Optional(
    Type.Array(Type.Object({ id: Type.String(), delete_on_termination: Type.Optional(Type.Boolean()) })),
  ),
});
export type Server = Static<typeof serverSchema>;

const flavorSchema = Type.Object({
  id: Type.String(),
  name: Type.String(),
  vcpus: Type.Integer(),
  ram: Type.Integer(),
  disk: Type.Integer(),
  'OS-FLV-EXT-DATA:ephemeral': Type.Optional(Type.Integer()),
  'os-flavor-access:is_public': Type.Optional(Type.Boolean()),
  'OS-FLV-DISABLED:disabled': Type.Optional(Type.Boolean()),
});
export type Flavor = Static<typeof flavorSchema>;

const attachmentSchema = Type.Object({
  volumeId: Type.String(),
  device: nullable(Type.String()),
  delete_on_termination: Type.Optional(Type.Boolean()),
});
export type VolumeAttachment = Static<typeof attachmentSchema>;

const keypairSchema = Type.Object({ name: Type.String(), public_key: Type.String(), fingerprint: Type.String() });
const groupSchema = Type.Object({ id: Type.String(), name: Type.String(), members: Type.Array(Type.String()) });
const zoneSchema = Type.Object({ zoneName: Type.String(), zoneState: Type.Object({ available: Type.Boolean() }) });

/** Body of a new server, in Nova's names. */
export interface NewServer {
  name: string;
  flavorRef: string;
  imageRef?: string;
  networks: { port: string }[] | 'none';
  block_device_mapping_v2?: object[];
  key_name?: string;
  user_data?: string;
  metadata?: Record<string, string>;
  tags?: string[];
  availability_zone?: string;
  config_drive?: boolean;
}

/** Nova. */
export class Compute extends Service {
  constructor(session: Session, signal: AbortSignal, label: string) {
    super(session, 'compute', signal, label);
  }

  async servers(query: Query = {}): Promise<Server[]> {
    return this.all(
      Type.Object({ servers: Type.Array(serverSchema) }),
      { method: 'GET', path: '/servers/detail', query, object: this.name('servers'), version: VERSION, pageSize: PAGE },
      ({ servers }) => servers,
    );
  }

  async server(id: string): Promise<Server> {
    const object = this.name(`instance ${id}`);
    const request = { method: 'GET', path: `/servers/${encodeURIComponent(id)}`, object, version: VERSION } as const;
    return (await this.read(Type.Object({ server: serverSchema }), request)).server;
  }

  /** Returns its id; it is then being built. */
  async createServer(server: NewServer, groupId: string | null = null): Promise<string> {
    const answer = await this.read(Type.Object({ server: Type.Object({ id: Type.String() }) }), {
      method: 'POST',
      path: '/servers',
      json: { server, ...(groupId === null ? {} : { 'os:scheduler_hints': { group: groupId } }) },
      object: this.name(`instance ${server.name}`),
      version: VERSION,
    });
    return answer.server.id;
  }

  async deleteServer(id: string): Promise<void> {
    await this.send({
      method: 'DELETE',
      path: `/servers/${id}`,
      object: this.name(`instance ${id}`),
      version: VERSION,
    });
  }

  /** `os-start`, `os-stop`, `pause`, ...: done when the status says so. */
  async action(id: string, action: Record<string, unknown>): Promise<void> {
    const [verb] = Object.keys(action);
    await this.send({
      method: 'POST',
      path: `/servers/${id}/action`,
      json: action,
      object: this.name(`${verb} of instance ${id}`),
      version: VERSION,
    });
  }

  /** Adds to the metadata; other entries stay. */
  async addMetadata(id: string, metadata: Record<string, string>): Promise<void> {
    await this.send({
      method: 'POST',
      path: `/servers/${id}/metadata`,
      json: { metadata },
      object: this.name(`metadata of instance ${id}`),
      repeatable: true,
      version: VERSION,
    });
  }

  /** Snapshot of a server: of its root disk, or of all volumes of one that is booted from a volume. Returns the image id. */
  async createImage(id: string, name: string, metadata: Record<string, string>): Promise<string> {
    const answer = await this.read(Type.Object({ image_id: Type.String() }), {
      method: 'POST',
      path: `/servers/${id}/action`,
      json: { createImage: { name, metadata } },
      object: this.name(`snapshot of instance ${id}`),
      version: VERSION,
    });
    return answer.image_id;
  }

  /** The last lines of the serial console. */
  async consoleLog(id: string, lines = 200): Promise<string> {
    const answer = await this.read(Type.Object({ output: Type.Union([Type.String(), Type.Null()]) }), {
      method: 'POST',
      path: `/servers/${id}/action`,
      json: { 'os-getConsoleOutput': { length: lines } },
      object: this.name(`console of instance ${id}`),
      repeatable: true,
      version: VERSION,
    });
    return answer.output ?? '';
  }

  async attachments(id: string): Promise<VolumeAttachment[]> {
    const request = {
      method: 'GET',
      path: `/servers/${id}/os-volume_attachments`,
      object: this.name(`volumes of instance ${id}`),
      version: VERSION,
    } as const;
    const answer = await this.read(Type.Object({ volumeAttachments: Type.Array(attachmentSchema) }), request);
    return answer.volumeAttachments;
  }

  /** Begins to attach; done when the volume is `in-use`. */
  async attach(id: string, volumeId: string): Promise<void> {
    await this.send({
      method: 'POST',
      path: `/servers/${id}/os-volume_attachments`,
      json: { volumeAttachment: { volumeId } },
      object: this.name(`volume ${volumeId} at instance ${id}`),
      version: VERSION,
    });
  }

  /** Begins to detach; done when the volume is `available`. */
  async detach(id: string, volumeId: string): Promise<void> {
    await this.send({
      method: 'DELETE',
      path: `/servers/${id}/os-volume_attachments/${volumeId}`,
      object: this.name(`volume ${volumeId} at instance ${id}`),
      version: VERSION,
    });
  }

  async flavors(): Promise<Flavor[]> {
    return this.all(
      Type.Object({ flavors: Type.Array(flavorSchema) }),
      { method: 'GET', path: '/flavors/detail', object: this.name('flavors'), version: VERSION, pageSize: PAGE },
      ({ flavors }) => flavors,
    );
  }

  /** An administrator's right in most clouds. */
  async createFlavor(flavor: { name: string; vcpus: number; ram: number; disk: number }): Promise<Flavor> {
    const request = {
      method: 'POST',
      path: '/flavors',
      json: { flavor },
      object: this.name(`flavor ${flavor.name}`),
      version: VERSION,
    } as const;
    return (await this.read(Type.Object({ flavor: flavorSchema }), request)).flavor;
  }

  async deleteFlavor(id: string): Promise<void> {
    await this.send({ method: 'DELETE', path: `/flavors/${id}`, object: this.name(`flavor ${id}`), version: VERSION });
  }

  async keypair(name: string): Promise<Static<typeof keypairSchema>> {
    const path = `/os-keypairs/${encodeURIComponent(name)}`;
    const request = { method: 'GET', path, object: this.name(`keypair ${name}`), version: VERSION } as const;
    return (await this.read(Type.Object({ keypair: keypairSchema }), request)).keypair;
  }

  async keypairs(): Promise<string[]> {
    const request = { method: 'GET', path: '/os-keypairs', object: this.name('keypairs'), version: VERSION } as const;
    const answer = await this.read(
      Type.Object({ keypairs: Type.Array(Type.Object({ keypair: Type.Object({ name: Type.String() }) })) }),
      request,
    );
    return answer.keypairs.map(({ keypair }) => keypair.name);
  }

  async importKeypair(name: string, publicKey: string): Promise<void> {
    await this.send({
      method: 'POST',
      path: '/os-keypairs',
      json: { keypair: { name, public_key: publicKey } },
      object: this.name(`keypair ${name}`),
      version: VERSION,
    });
  }

  async deleteKeypair(name: string): Promise<void> {
    const path = `/os-keypairs/${encodeURIComponent(name)}`;
    await this.send({ method: 'DELETE', path, object: this.name(`keypair ${name}`), version: VERSION });
  }

  async serverGroups(): Promise<Static<typeof groupSchema>[]> {
    const object = this.name('server groups');
    const request = { method: 'GET', path: '/os-server-groups', object, version: VERSION } as const;
    return (await this.read(Type.Object({ server_groups: Type.Array(groupSchema) }), request)).server_groups;
  }

  /** Names of the zones that take instances. */
  async zones(): Promise<string[]> {
    const object = this.name('availability zones');
    const request = { method: 'GET', path: '/os-availability-zone', object, version: VERSION } as const;
    const answer = await this.read(Type.Object({ availabilityZoneInfo: Type.Array(zoneSchema) }), request);
    return answer.availabilityZoneInfo.filter(({ zoneState }) => zoneState.available).map(({ zoneName }) => zoneName);
  }
}
