import { type Static, Type } from 'typebox';
import { common, Exact, Id, Nullable, Open } from './json.ts';

export const Region = Exact('Region', {
  ...common,
  id: Id,
  name: Type.String(),
  description: Nullable(Type.String()),
  enabled: Type.Boolean(),
  mapped_endpoints: Type.Array(Id),
  mapped_services: Type.Array(Id),
});
export type Region = Static<typeof Region>;

export const RegionAnswer = Exact('RegionAnswer', { region: Region });
export const RegionsAnswer = Exact('RegionsAnswer', { regions: Type.Array(Region) });

export const RegionCreate = Open('RegionCreate', {
  region: Open('RegionCreateBody', {
    name: Type.String({ minLength: 1, maxLength: 255 }),
    description: Type.Optional(Nullable(Type.String())),
    enabled: Type.Optional(Nullable(Type.Boolean({ description: 'Default true' }))),
  }),
});
export const RegionUpdate = Open('RegionUpdate', {
  region: Open('RegionUpdateBody', {
    name: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
    description: Type.Optional(Nullable(Type.String())),
    enabled: Type.Optional(Type.Boolean()),
  }),
});
