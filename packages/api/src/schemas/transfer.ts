import { EXECUTION_STATUSES, TRANSFER_SCENARIOS } from '@godwit/domain';
import { type Static, Type } from 'typebox';
import { Execution } from './execution.ts';
import { common, commonExample, Exact, FreeObject, FreeText, Id, Nullable, OneOf, Open, StringMap } from './json.ts';

export const StorageMappings = Type.Object(
  {
    default: Type.Optional(Nullable(Type.String())),
    backend_mappings: Type.Optional(
      Type.Array(Type.Object({ source: Type.String(), destination: Type.String() }, { additionalProperties: false })),
    ),
    disk_mappings: Type.Optional(
      Type.Array(Type.Object({ disk_id: Type.String(), destination: Type.String() }, { additionalProperties: false })),
    ),
  },
  { title: 'StorageMappings', additionalProperties: false },
);

/** Limits and proof of a transfer: Godwit's addition. */
export const TransferOptions = Type.Object(
  {
    rate_limit: Type.Optional(
      Nullable(
        Type.Integer({ minimum: 1, description: 'Bytes per second over all disks of the transfer; null: none' }),
      ),
    ),
    verify: Type.Optional(Nullable(OneOf(['changed', 'whole'] as const))),
    audit: Type.Optional(Nullable(OneOf(['sample', 'whole'] as const))),
  },
  { title: 'TransferOptions', additionalProperties: false, description: 'An addition to the contract' },
);

/** Keys that a transfer and a deployment share. */
export const action = {
  ...common,
  base_id: Id,
  id: Id,
  user_id: Type.String(),
  project_id: Type.String(),
  type: Type.String(),
  instances: Type.Array(Type.String()),
  reservation_id: Nullable(Type.String()),
  notes: Nullable(Type.String()),
  origin_endpoint_id: Id,
  destination_endpoint_id: Id,
  origin_minion_pool_id: Nullable(Id),
  destination_minion_pool_id: Nullable(Id),
  instance_osmorphing_minion_pool_mappings: StringMap('Instance to minion pool id'),
  source_environment: FreeObject(),
  destination_environment: FreeObject('Carries network_map and storage_mappings as well'),
  network_map: FreeObject('Source network to destination network'),
  storage_mappings: FreeObject(),
  transfer_result: Nullable(FreeObject('Instance to what it has become')),
  last_execution_status: OneOf(EXECUTION_STATUSES),
  user_scripts: FreeObject('global (by OS type) and instances'),
  clone_disks: Type.Boolean(),
  skip_os_morphing: Type.Boolean(),
  clustered: Type.Boolean(),
  info: Type.Optional(FreeObject('Only with include_task_info: instance to what its tasks know')),
};

export const Transfer = Exact(
  'Transfer',
  {
    ...action,
    scenario: OneOf(TRANSFER_SCENARIOS),
    executions: Type.Array(Execution),
    options: TransferOptions,
  },
  {
    examples: [
      {
        ...commonExample,
        base_id: 'a5f7d1b2-04c8-4f61-8f0b-5b1f2d6c7e90',
        id: 'a5f7d1b2-04c8-4f61-8f0b-5b1f2d6c7e90',
        user_id: '0c4f8e0e-1f0e-4d0a-8f5e-5a1f3a0b7c22',
        project_id: 'd2f1b9f6-7a2c-4c9e-8a55-9c3f0e6b1a33',
        type: 'transfer',
        scenario: 'replica',
        instances: ['web01'],
        executions: [],
        reservation_id: null,
        notes: null,
        origin_endpoint_id: '6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11',
        destination_endpoint_id: '9e4bb9a0-70cb-4b0f-b1f5-0b8b3e0d5a44',
        origin_minion_pool_id: null,
        destination_minion_pool_id: null,
        instance_osmorphing_minion_pool_mappings: {},
        source_environment: {},
        destination_environment: { network_map: { default: 'lan' }, storage_mappings: {} },
        network_map: { default: 'lan' },
        storage_mappings: {},
        transfer_result: null,
        last_execution_status: 'UNEXECUTED',
        user_scripts: { global: {}, instances: {} },
        clone_disks: true,
        skip_os_morphing: false,
        clustered: false,
        options: { rate_limit: 104857600 },
      },
    ],
  },
);
export type Transfer = Static<typeof Transfer>;

export const TransferAnswer = Exact('TransferAnswer', { transfer: Transfer });
export const TransfersAnswer = Exact('TransfersAnswer', { transfers: Type.Array(Transfer) });

/** Fields that may be given at creation and changed later; null leaves the default. */
const settings = {
  source_environment: Type.Optional(Nullable(FreeObject())),
  destination_environment: Type.Optional(Nullable(FreeObject())),
  network_map: Type.Optional(Nullable(FreeObject())),
  storage_mappings: Type.Optional(Nullable(StorageMappings)),
  notes: Type.Optional(Nullable(FreeText)),
  origin_minion_pool_id: Type.Optional(Nullable(Type.String())),
  destination_minion_pool_id: Type.Optional(Nullable(Type.String())),
  instance_osmorphing_minion_pool_mappings: Type.Optional(Nullable(StringMap())),
  user_scripts: Type.Optional(Nullable(FreeObject())),
  clone_disks: Type.Optional(Nullable(Type.Boolean({ description: 'Default true' }))),
  skip_os_morphing: Type.Optional(Nullable(Type.Boolean({ description: 'Default false' }))),
  options: Type.Optional(Nullable(TransferOptions)),
};

export const TransferCreate = Type.Object(
  {
    transfer: Open('TransferCreateBody', {
      origin_endpoint_id: Type.String(),
      destination_endpoint_id: Type.String(),
      instances: Type.Optional(Type.Array(Type.String())),
      scenario: Type.Optional(Nullable(Type.String({ description: 'replica (default) or live_migration' }))),
      ...settings,
    }),
  },
  {
    title: 'TransferCreate',
    examples: [
      {
        transfer: {
          origin_endpoint_id: '6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11',
          destination_endpoint_id: 'a5f7d1b2-04c8-4f61-8f0b-5b1f2d6c7e90',
          instances: ['web01'],
          scenario: 'replica',
          network_map: { default: 'default' },
        },
      },
    ],
  },
);

export const TransferUpdate = Open(
  'TransferUpdate',
  {
    transfer: Open('TransferUpdateBody', {
      origin_endpoint_id: Type.Optional(Nullable(Type.String())),
      destination_endpoint_id: Type.Optional(Nullable(Type.String())),
      instances: Type.Optional(Nullable(Type.Array(Type.String()))),
      scenario: Type.Optional(Nullable(Type.String())),
      ...settings,
    }),
  },
  { examples: [{ transfer: { network_map: { default: 'lan' }, notes: 'after the holidays' } }] },
);

export const DeleteDisksBody = Type.Object(
  { 'delete-disks': Type.Null() },
  { title: 'DeleteDisksAction', additionalProperties: true, examples: [{ 'delete-disks': null }] },
);
