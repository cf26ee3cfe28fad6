import { type Static, Type } from 'typebox';
import { common, commonExample, Exact, FreeObject, Id, Nullable, Open, Timestamp } from './json.ts';

const field = (minimum: number, maximum: number, description: string) =>
  Type.Optional(Nullable(Type.Integer({ minimum, maximum, description })));

/** When it fires: every field that is given must equal the tick's. */
export const ScheduleFields = Type.Object(
  {
    minute: field(0, 59, 'UTC'),
    hour: field(0, 23, 'UTC'),
    dom: field(1, 31, 'Day of the month'),
    month: field(1, 12, ''),
    dow: field(0, 6, 'Day of the week, 0 is Monday'),
    cron: Type.Optional(
      Nullable(
        Type.String({ minLength: 1, maxLength: 200, description: 'Five fields of cron. An addition to the contract' }),
      ),
    ),
    timezone: Type.Optional(
      Nullable(
        Type.String({ minLength: 1, maxLength: 64, description: 'IANA zone that cron is read in; default UTC' }),
      ),
    ),
  },
  { title: 'ScheduleFields', additionalProperties: false },
);
export type ScheduleFields = Static<typeof ScheduleFields>;

export const Schedule = Exact(
  'Schedule',
  {
    ...common,
    id: Id,
    transfer_id: Id,
    schedule: FreeObject('minute, hour, dom, month, dow; or cron and timezone'),
    enabled: Type.Boolean(),
    expiration_date: Nullable(Timestamp),
    shutdown_instance: Type.Boolean(),
    auto_deploy: Type.Boolean(),
    trust_id: Nullable(Type.String()),
  },
  {
    examples: [
      {
        ...commonExample,
        id: '0d7bb3a2-7b43-4d7e-9d3c-6a0f8f9f1c55',
        transfer_id: 'a5f7d1b2-04c8-4f61-8f0b-5b1f2d6c7e90',
        schedule: { minute: 30, hour: 2 },
        enabled: true,
        expiration_date: null,
        shutdown_instance: false,
        auto_deploy: false,
        trust_id: null,
      },
    ],
  },
);
export type Schedule = Static<typeof Schedule>;

export const ScheduleAnswer = Exact('ScheduleAnswer', { schedule: Schedule });
export const SchedulesAnswer = Exact('SchedulesAnswer', { schedules: Type.Array(Schedule) });

const settings = {
  enabled: Type.Optional(Nullable(Type.Boolean({ description: 'Default true' }))),
  expiration_date: Type.Optional(
    Nullable(Type.String({ maxLength: 64, description: 'RFC 3339; from then on it never fires. Null clears it' })),
  ),
  shutdown_instance: Type.Optional(Nullable(Type.Boolean({ description: 'Default false' }))),
  auto_deploy: Type.Optional(Nullable(Type.Boolean({ description: 'Default false' }))),
};

/** Not within an envelope, unlike every other body of the contract. */
export const ScheduleCreate = Open(
  'ScheduleCreate',
  { schedule: Type.Optional(Nullable(ScheduleFields)), ...settings },
  { examples: [{ schedule: { minute: 30, hour: 2 }, enabled: true, shutdown_instance: false, auto_deploy: false }] },
);
export const ScheduleUpdate = Open(
  'ScheduleUpdate',
  { schedule: Type.Optional(Nullable(ScheduleFields)), ...settings },
  { examples: [{ enabled: false, expiration_date: null }] },
);
