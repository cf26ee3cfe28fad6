import { type Static, Type } from 'typebox';
import { FreeObject, FreeText, Nullable, Open, StringMap } from '../schemas/json.ts';
import { StorageMappings } from '../schemas/transfer.ts';

/** An object of the older dialect; its keys are those of the current one, renamed. */
export const MigrationAnswer = Type.Unsafe<{ migration: object }>({
  title: 'MigrationAnswer',
  type: 'object',
  required: ['migration'],
  properties: { migration: { type: 'object', additionalProperties: true } },
});
export const MigrationsAnswer = Type.Unsafe<{ migrations: object[] }>({
  title: 'MigrationsAnswer',
  type: 'object',
  required: ['migrations'],
  properties: { migrations: { type: 'array', items: { type: 'object', additionalProperties: true } } },
});

const text = Type.Optional(Nullable(Type.String()));
const flag = Type.Optional(Nullable(Type.Boolean()));

/** Both forms: of a replica (`replica_id`), or direct. */
export const MigrationCreate = Open(
  'MigrationCreate',
  {
    migration: Open('MigrationCreateBody', {
      replica_id: Type.Optional(Nullable(Type.String({ description: 'Deploys this replica; the rest is ignored' }))),
      clone_disks: flag,
      force: flag,
      origin_endpoint_id: text,
      destination_endpoint_id: text,
      instances: Type.Optional(Nullable(Type.Array(Type.String()))),
      source_environment: Type.Optional(Nullable(FreeObject())),
      destination_environment: Type.Optional(Nullable(FreeObject())),
      network_map: Type.Optional(Nullable(FreeObject())),
      storage_mappings: Type.Optional(Nullable(StorageMappings)),
      notes: Type.Optional(Nullable(FreeText)),
      skip_os_morphing: flag,
      replication_count: Type.Optional(Nullable(Type.Integer({ description: '1 to 10, default 2' }))),
      shutdown_instances: flag,
      origin_minion_pool_id: text,
      destination_minion_pool_id: text,
      instance_osmorphing_minion_pool_mappings: Type.Optional(Nullable(StringMap())),
      user_scripts: Type.Optional(Nullable(FreeObject())),
    }),
  },
  {
    examples: [
      { migration: { replica_id: 'a5f7d1b2-04c8-4f61-8f0b-5b1f2d6c7e90', clone_disks: true } },
      {
        migration: {
          origin_endpoint_id: '6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11',
          destination_endpoint_id: '9e4bb9a0-70cb-4b0f-b1f5-0b8b3e0d5a44',
          instances: ['web01'],
          replication_count: 2,
          shutdown_instances: true,
        },
      },
    ],
  },
);
export type MigrationBody = Static<typeof MigrationCreate>['migration'];
