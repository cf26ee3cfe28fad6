import { type Static, Type } from 'typebox';
import { common, commonExample, Exact, FreeText, Id, Nullable, Open } from './json.ts';

export const Region = Exact(
  'Region',
  {
    ...common,
    id: Id,
    name: Type.String(),
    description: Nullable(Type.String()),
    enabled: Type.Boolean(),
    mapped_endpoints: Type.Array(Id),
    mapped_services: Type.Array(Id),
  },
  {
    examples: [
      {
        ...commonExample,
        id: '3b0c9a51-6f6e-4d39-9a57-1f0f6f7c2d11',
        name: 'north',
        description: '',
        enabled: true,
        mapped_endpoints: ['6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11'],
        mapped_services: [],
      },
    ],
  },
);
export type Region = Static<typeof Region>;

export const RegionAnswer = Exact('RegionAnswer', { region: Region });
export const RegionsAnswer = Exact('RegionsAnswer', { regions: Type.Array(Region) });

export const RegionCreate = Open(
  'RegionCreate',
  {
    region: Open('RegionCreateBody', {
      name: Type.String({ minLength: 1, maxLength: 255 }),
      description: Type.Optional(Nullable(FreeText)),
      enabled: Type.Optional(Nullable(Type.Boolean({ description: 'Default true' }))),
    }),
  },
  { examples: [{ region: { name: 'north', description: 'the cold one' } }] },
);
export const RegionUpdate = Open(
  'RegionUpdate',
  {
    region: Open('RegionUpdateBody', {
      name: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
      description: Type.Optional(Nullable(FreeText)),
      enabled: Type.Optional(Type.Boolean()),
    }),
  },
  { examples: [{ region: { enabled: false } }] },
);
