import { TRANSFER_SCENARIOS } from '@godwit/domain';
import { type Static, Type } from 'typebox';
import { Task } from './execution.ts';
import { Exact, FreeObject, Id, Nullable, OneOf, Open, StringMap } from './json.ts';
import { action } from './transfer.ts';

export const Deployment = Exact('Deployment', {
  ...action,
  transfer_id: Id,
  transfer_scenario_type: OneOf(TRANSFER_SCENARIOS),
  deployer_id: Nullable(Id),
  trust_id: Nullable(Type.String()),
  executions: Type.Optional(Type.Array(Type.Unknown(), { description: 'Empty, and only while there is no execution' })),
  tasks: Type.Optional(Type.Array(Task, { description: 'Of its one execution' })),
  test: Type.Boolean({
    description: 'A test failover: an overlay in an isolated network. An addition to the contract',
  }),
});
export type Deployment = Static<typeof Deployment>;

export const DeploymentAnswer = Exact('DeploymentAnswer', { deployment: Deployment });
export const DeploymentsAnswer = Exact('DeploymentsAnswer', { deployments: Type.Array(Deployment) });

export const DeploymentCreate = Type.Object(
  {
    deployment: Open('DeploymentCreateBody', {
      transfer_id: Type.Optional(Nullable(Type.String({ description: 'Required' }))),
      clone_disks: Type.Optional(Nullable(Type.Boolean({ description: 'Default true' }))),
      force: Type.Optional(Nullable(Type.Boolean({ description: 'Default false' }))),
      skip_os_morphing: Type.Optional(Nullable(Type.Boolean({ description: 'Default false' }))),
      instance_osmorphing_minion_pool_mappings: Type.Optional(Nullable(StringMap())),
      user_scripts: Type.Optional(Nullable(FreeObject())),
      test: Type.Optional(Nullable(Type.Boolean({ description: 'Default false. An addition to the contract' }))),
    }),
  },
  {
    title: 'DeploymentCreate',
    examples: [{ deployment: { transfer_id: '6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11', clone_disks: true } }],
  },
);
