import { type Static, Type } from 'typebox';
import { common, commonExample, Exact, FreeObject, FreeText, Id, Nullable, Open } from './json.ts';

const ConnectionInfo = FreeObject(
  'What the provider needs to connect, by its schema (GET /providers/{platform}/schemas/16). Secret fields are taken once and never shown again',
);

export const Endpoint = Exact(
  'Endpoint',
  {
    ...common,
    id: Id,
    user_id: Type.String(),
    project_id: Type.String(),
    name: Type.String(),
    type: Type.String({ examples: ['libvirt'] }),
    description: Nullable(Type.String()),
    connection_info: ConnectionInfo,
    mapped_regions: Type.Array(Id),
  },
  {
    examples: [
      {
        ...commonExample,
        id: '6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11',
        user_id: '0c4f8e0e-1f0e-4d0a-8f5e-5a1f3a0b7c22',
        project_id: 'd2f1b9f6-7a2c-4c9e-8a55-9c3f0e6b1a33',
        name: 'lab',
        type: 'libvirt',
        description: null,
        connection_info: { uri: 'qemu+ssh://root@kvm1.example.org/system' },
        mapped_regions: [],
      },
    ],
  },
);
export type Endpoint = Static<typeof Endpoint>;

export const EndpointAnswer = Exact('EndpointAnswer', { endpoint: Endpoint });
export const EndpointsAnswer = Exact('EndpointsAnswer', { endpoints: Type.Array(Endpoint) });

export const EndpointCreate = Type.Object(
  {
    endpoint: Open('EndpointCreateBody', {
      name: Type.String({ minLength: 1, maxLength: 255 }),
      type: Type.String({ minLength: 1, maxLength: 255 }),
      connection_info: ConnectionInfo,
      description: Type.Optional(Nullable(FreeText)),
      mapped_regions: Type.Optional(Nullable(Type.Array(Type.String()))),
    }),
  },
  {
    title: 'EndpointCreate',
    examples: [
      {
        endpoint: { name: 'lab', type: 'libvirt', connection_info: { uri: 'qemu+ssh://root@kvm1.example.org/system' } },
      },
    ],
  },
);
export const EndpointUpdate = Open(
  'EndpointUpdate',
  {
    endpoint: Open('EndpointUpdateBody', {
      name: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
      description: Type.Optional(Nullable(FreeText)),
      connection_info: Type.Optional(ConnectionInfo),
      mapped_regions: Type.Optional(Nullable(Type.Array(Type.String()))),
    }),
  },
  { examples: [{ endpoint: { description: 'rack 4' } }] },
);

export const ValidateConnectionAnswer = Exact('ValidateConnectionAnswer', {
  'validate-connection': Type.Object(
    { valid: Type.Boolean(), message: Nullable(Type.String()) },
    { additionalProperties: false },
  ),
});
