import { EVENT_LEVELS } from '@godwit/domain';
import { type Static, Type } from 'typebox';
import { common, commonExample, Exact, FreeObject, FreeText, Id, Nullable, OneOf, Open, Timestamp } from './json.ts';

const Machine = Exact('MinionMachine', {
  ...common,
  id: Id,
  pool_id: Id,
  user_id: Type.String(),
  project_id: Type.String(),
  allocation_status: Type.String(),
  power_status: Type.String(),
  allocated_action: Nullable(Id),
  last_used_at: Nullable(Timestamp),
  connection_info: Nullable(FreeObject('Secrets are ***')),
  backup_writer_connection_info: Nullable(FreeObject('backend and connection_details; secrets are ***')),
  provider_properties: Nullable(FreeObject()),
});

const PoolEvent = Exact('MinionPoolEvent', {
  ...common,
  id: Id,
  pool_id: Id,
  index: Type.Integer(),
  level: OneOf(EVENT_LEVELS),
  message: Type.String(),
});

const PoolProgress = Exact('MinionPoolProgress', {
  ...common,
  id: Id,
  pool_id: Id,
  index: Type.Integer(),
  current_step: Type.Integer(),
  total_steps: Nullable(Type.Integer()),
  message: Type.String(),
});

export const MinionPool = Exact(
  'MinionPool',
  {
    ...common,
    id: Id,
    user_id: Type.String(),
    project_id: Type.String(),
    name: Type.String(),
    notes: Nullable(Type.String()),
    endpoint_id: Id,
    environment_options: FreeObject(),
    os_type: Type.String(),
    platform: OneOf(['source', 'destination'] as const),
    status: Type.String(),
    shared_resources: Nullable(FreeObject()),
    minimum_minions: Type.Integer(),
    maximum_minions: Type.Integer(),
    minion_max_idle_time: Type.Integer({ description: 'Seconds' }),
    minion_retention_strategy: OneOf(['delete', 'poweroff'] as const),
    maintenance_trust_id: Nullable(Type.String()),
    minion_machines: Type.Array(Machine),
    events: Type.Optional(Type.Array(PoolEvent, { description: 'Not in lists' })),
    progress_updates: Type.Optional(Type.Array(PoolProgress, { description: 'Not in lists' })),
  },
  {
    examples: [
      {
        ...commonExample,
        id: '5b1f6d54-3a7c-4f59-93a1-6a2a7a1c1e66',
        user_id: '0c4f8e0e-1f0e-4d0a-8f5e-5a1f3a0b7c22',
        project_id: 'd2f1b9f6-7a2c-4c9e-8a55-9c3f0e6b1a33',
        name: 'helpers',
        notes: null,
        endpoint_id: '6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11',
        environment_options: {},
        os_type: 'linux',
        platform: 'source',
        status: 'DEALLOCATED',
        shared_resources: null,
        minimum_minions: 1,
        maximum_minions: 2,
        minion_max_idle_time: 600,
        minion_retention_strategy: 'delete',
        maintenance_trust_id: null,
        minion_machines: [],
        events: [],
        progress_updates: [],
      },
    ],
  },
);
export type MinionPool = Static<typeof MinionPool>;

export const MinionPoolAnswer = Exact('MinionPoolAnswer', { minion_pool: MinionPool });
export const MinionPoolsAnswer = Exact('MinionPoolsAnswer', { minion_pools: Type.Array(MinionPool) });

const name = Type.String({ minLength: 1, maxLength: 255 });
const settings = {
  os_type: Type.Optional(Type.String({ description: 'Sources must be linux' })),
  environment_options: Type.Optional(FreeObject("Judged by the provider's schema")),
  minimum_minions: Type.Optional(Nullable(Type.Integer({ description: 'Default 1' }))),
  maximum_minions: Type.Optional(Nullable(Type.Integer({ description: 'Default: minimum_minions' }))),
  minion_max_idle_time: Type.Optional(Nullable(Type.Integer({ description: 'Seconds; default 1' }))),
  minion_retention_strategy: Type.Optional(Nullable(Type.String({ description: 'delete (default) or poweroff' }))),
  notes: Type.Optional(Nullable(FreeText)),
};

export const MinionPoolCreate = Open(
  'MinionPoolCreate',
  {
    minion_pool: Open('MinionPoolCreateBody', {
      ...settings,
      name,
      endpoint_id: Type.String(),
      os_type: Type.String({ description: 'Sources must be linux' }),
      platform: Type.String({ description: 'source or destination' }),
      environment_options: FreeObject("Judged by the provider's schema"),
      skip_allocation: Type.Optional(Nullable(Type.Boolean({ description: 'Default false' }))),
    }),
  },
  {
    examples: [
      {
        minion_pool: {
          name: 'helpers',
          endpoint_id: '6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11',
          os_type: 'linux',
          platform: 'source',
          environment_options: {},
          minimum_minions: 1,
          maximum_minions: 2,
          skip_allocation: true,
        },
      },
    ],
  },
);
export type MinionPoolCreate = Static<typeof MinionPoolCreate>['minion_pool'];

export const MinionPoolUpdate = Open(
  'MinionPoolUpdate',
  {
    minion_pool: Open('MinionPoolUpdateBody', {
      ...settings,
      name: Type.Optional(name),
      endpoint_id: Type.Optional(Type.Unknown({ description: 'Refused: it cannot change' })),
      platform: Type.Optional(Type.Unknown({ description: 'Refused: it cannot change' })),
    }),
  },
  { examples: [{ minion_pool: { maximum_minions: 4 } }] },
);
export type MinionPoolUpdate = Static<typeof MinionPoolUpdate>['minion_pool'];

export const MinionPoolActionBody = Type.Object(
  {
    allocate: Type.Optional(Type.Null()),
    refresh: Type.Optional(Type.Null()),
    deallocate: Type.Optional(Nullable(Type.Object({ force: Type.Optional(Type.Boolean()) }))),
  },
  { title: 'MinionPoolAction', additionalProperties: true, examples: [{ deallocate: { force: false } }] },
);
