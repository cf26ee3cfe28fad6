import { EVENT_LEVELS, EXECUTION_STATUSES, EXECUTION_TYPES, TASK_STATUSES } from '@godwit/domain';
import { type Static, Type } from 'typebox';
import { common, commonExample, Exact, Id, Nullable, OneOf, Open } from './json.ts';

export const TaskEvent = Exact('TaskEvent', {
  ...common,
  id: Id,
  task_id: Id,
  index: Type.Integer(),
  level: OneOf(EVENT_LEVELS),
  message: Type.String(),
});

/** Live counters of one disk; Godwit's addition to a progress update. Bytes. */
export const DiskProgress = Type.Unsafe<Record<string, unknown>>({
  title: 'DiskProgress',
  type: 'object',
  additionalProperties: true,
  description: 'Counters of finished bytes per disk: an addition to the contract',
});

export const ProgressUpdate = Exact('ProgressUpdate', {
  ...common,
  id: Id,
  task_id: Id,
  index: Type.Integer(),
  current_step: Type.Integer(),
  total_steps: Nullable(Type.Integer({ description: 'null or 0: a single remark' })),
  message: Nullable(Type.String()),
  disk: Nullable(DiskProgress),
});

/** A typed error of the catalogue; Godwit's addition to a task. */
export const TaskError = Type.Unsafe<Record<string, unknown>>({
  title: 'TaskError',
  type: 'object',
  additionalProperties: true,
  description: 'code, object, message, remedy, details: an addition to the contract',
});

export const Task = Exact('Task', {
  ...common,
  id: Id,
  execution_id: Id,
  instance: Type.String(),
  host: Nullable(Type.String()),
  process_id: Nullable(Type.Integer()),
  status: OneOf(TASK_STATUSES),
  task_type: Type.String(),
  exception_details: Nullable(Type.String()),
  depends_on: Nullable(Type.Array(Id)),
  index: Type.Integer(),
  on_error: Nullable(Type.Boolean()),
  events: Type.Array(TaskEvent),
  progress_updates: Type.Array(ProgressUpdate),
  error: Nullable(TaskError),
});
export type Task = Static<typeof Task>;

export const Execution = Exact(
  'Execution',
  {
    ...common,
    id: Id,
    action_id: Id,
    number: Type.Integer({ minimum: 1 }),
    type: OneOf(EXECUTION_TYPES),
    status: OneOf(EXECUTION_STATUSES),
    tasks: Type.Array(Task),
  },
  {
    examples: [
      {
        ...commonExample,
        id: '70f7c248-cdc4-4518-92e5-7f63d679d50e',
        action_id: 'a5f7d1b2-04c8-4f61-8f0b-5b1f2d6c7e90',
        number: 1,
        type: 'transfer_execution',
        status: 'RUNNING',
        tasks: [
          {
            ...commonExample,
            id: '1ac56359-1c1a-4252-80bb-4c70077792dc',
            execution_id: '70f7c248-cdc4-4518-92e5-7f63d679d50e',
            instance: 'web01',
            host: 'worker1',
            process_id: 4242,
            status: 'RUNNING',
            task_type: 'REPLICATE_DISKS',
            exception_details: null,
            depends_on: null,
            index: 5,
            on_error: false,
            events: [],
            progress_updates: [
              {
                ...commonExample,
                id: '5d1b7c7a-0c3f-4f6f-9f7b-52a5d4f4c101',
                task_id: '1ac56359-1c1a-4252-80bb-4c70077792dc',
                index: 1,
                current_step: 25,
                total_steps: 100,
                message: 'vda: 5.0 of 20.0 GiB',
                disk: {
                  disk_id: 'vda',
                  size: 21474836480,
                  done: 5368709120,
                  read: 1073741824,
                  sent: 536870912,
                  skipped: 0,
                },
              },
            ],
            error: null,
          },
        ],
      },
    ],
  },
);
export type Execution = Static<typeof Execution>;

export const ExecutionAnswer = Exact('ExecutionAnswer', { execution: Execution });
export const ExecutionsAnswer = Exact('ExecutionsAnswer', { executions: Type.Array(Execution) });

/** How much is re-read and re-compared; Godwit's addition to the body of an execution. */
export const ExecutionCreate = Type.Unsafe<{
  execution?: {
    shutdown_instances?: boolean | null;
    auto_deploy?: boolean | null;
    verify?: 'changed' | 'whole' | null;
    audit?: 'sample' | 'whole' | null;
  } | null;
}>(
  Type.Object(
    {
      execution: Type.Optional(
        Nullable(
          Open('ExecutionCreateBody', {
            shutdown_instances: Type.Optional(Nullable(Type.Boolean({ description: 'Default false' }))),
            auto_deploy: Type.Optional(Nullable(Type.Boolean({ description: 'Default false' }))),
            verify: Type.Optional(
              Nullable(
                OneOf(['changed', 'whole'] as const, {
                  description: 'How much of the target is re-read; default changed, whole when instances are shut down',
                }),
              ),
            ),
            audit: Type.Optional(
              Nullable(
                OneOf(['sample', 'whole'] as const, {
                  description: 'How much is compared although unchanged; default sample, whole when shut down',
                }),
              ),
            ),
          }),
        ),
      ),
    },
    { title: 'ExecutionCreate', examples: [{ execution: { shutdown_instances: false, auto_deploy: false } }] },
  ),
);

export const CancelBody = Type.Unsafe<{ cancel: { force?: boolean } | null }>(
  Type.Object(
    { cancel: Nullable(Type.Object({ force: Type.Optional(Nullable(Type.Boolean())) })) },
    { title: 'CancelAction', examples: [{ cancel: { force: false } }, { cancel: null }] },
  ),
);
