import { type Static, Type } from 'typebox';
import { common, Exact, FreeObject, Id, Nullable, OneOf, Open } from './json.ts';
import { ProviderMap } from './provider.ts';

export const Service = Exact('Service', {
  ...common,
  id: Id,
  host: Type.String(),
  binary: Type.String(),
  topic: Type.String(),
  enabled: Type.Boolean(),
  status: OneOf(['UP', 'DOWN', 'UNKNOWN'] as const),
  providers: Nullable(ProviderMap),
  specs: Nullable(FreeObject('application, packages, os_info, hostname, ip_addresses')),
  mapped_regions: Type.Array(Id),
});
export type Service = Static<typeof Service>;

export const ServiceAnswer = Exact('ServiceAnswer', { service: Service });
export const ServicesAnswer = Exact('ServicesAnswer', { services: Type.Array(Service) });

export const ServiceCreate = Open(
  'ServiceCreate',
  {
    service: Open('ServiceCreateBody', {
      host: Type.String({ minLength: 1, maxLength: 255 }),
      binary: Type.String({ minLength: 1, maxLength: 255 }),
      topic: Type.String({ minLength: 1, maxLength: 255 }),
      mapped_regions: Type.Optional(Nullable(Type.Array(Type.String()))),
      enabled: Type.Optional(Nullable(Type.Boolean({ description: 'Default true' }))),
    }),
  },
  { examples: [{ service: { host: 'worker1', binary: 'godwit-worker', topic: 'godwit_worker.0' } }] },
);
export const ServiceUpdate = Open(
  'ServiceUpdate',
  {
    service: Open('ServiceUpdateBody', {
      enabled: Type.Optional(Type.Boolean()),
      mapped_regions: Type.Optional(Type.Array(Type.String())),
    }),
  },
  { examples: [{ service: { enabled: false, mapped_regions: [] } }] },
);
