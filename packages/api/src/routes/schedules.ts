import { ACTIVE_EXECUTION_STATUSES, GodwitError } from '@godwit/domain';
import * as store from '@godwit/store';
import type { App } from '../app.ts';
import { type ApiContext, callerOf, noContent, scopeOf } from '../context.ts';
import { strictFlag } from '../list-query.ts';
import { badRequest, found, invalidInput } from '../request-error.ts';
import { expirationOf, ruleOf } from '../schedule-request.ts';
import { NoContent, Params, Query } from '../schemas/params.ts';
import { ScheduleAnswer, ScheduleCreate, SchedulesAnswer, ScheduleUpdate } from '../schemas/schedule.ts';
import { scheduleToWire } from '../wire/schedule.ts';

type ScopedRequest = Parameters<typeof scopeOf>[0] & { params: { transfer_id: string; schedule_id: string } };

/** When a transfer runs by itself. Firing is the engine's; here they are only written. */
export function scheduleRoutes(app: App, { db, clock }: ApiContext): void {
  const tags = ['schedules'];
  const params = Params('transfer_id', 'schedule_id');

  async function transferOf(request: Parameters<typeof scopeOf>[0] & { params: { transfer_id: string } }) {
    const id = request.params.transfer_id;
    return found(await store.getTransfer(db, id, scopeOf(request)), 'Transfer', id);
  }

  async function scheduleOf(request: ScopedRequest): Promise<store.Schedule> {
    const { schedule_id: id } = request.params;
    const transfer = await transferOf(request);
    const row = await store.getSchedule(db, transfer.id, id);
    if (row === undefined) throw new GodwitError('NOT_FOUND', `Schedule with ID '${id}'`);
    return row;
  }

  app.get(
    '/transfers/:transfer_id/schedules',
    {
      schema: {
        operationId: 'listSchedules',
        summary: 'Schedules of a transfer',
        tags,
        params: Params('transfer_id'),
        querystring: Query({ show_expired: 'Default true' }),
        response: { 200: SchedulesAnswer },
      },
    },
    async (request) => {
      const expired = strictFlag(request.query, 'show_expired', true);
      const transfer = await transferOf(request);
      return { schedules: (await store.listSchedules(db, transfer.id, expired)).map(scheduleToWire) };
    },
  );

  app.get(
    '/transfers/:transfer_id/schedules/:schedule_id',
    {
      schema: {
        operationId: 'getSchedule',
        summary: 'One schedule',
        tags,
        params,
        response: { 200: ScheduleAnswer },
      },
    },
    async (request) => ({ schedule: scheduleToWire(await scheduleOf(request)) }),
  );

  app.post(
    '/transfers/:transfer_id/schedules',
    {
      schema: {
        operationId: 'createSchedule',
        summary: 'Run a transfer by the clock',
        description: 'The body has no envelope. It fires in every minute that all given fields fit.',
        tags,
        params: Params('transfer_id'),
        body: ScheduleCreate,
        response: { 200: ScheduleAnswer },
      },
    },
    async (request) => {
      const { body } = request;
      if (body.schedule === undefined || body.schedule === null) throw invalidInput('schedule is required');
      if (body.auto_deploy) request.demand('migration:deployments:create');
      const rule = ruleOf(body.schedule);
      const expirationDate = expirationOf(body.expiration_date ?? null, clock());
      const transfer = await transferOf(request);
      const row = await store.insertSchedule(db, {
        transferId: transfer.id,
        projectId: transfer.project_id,
        userId: callerOf(request).userId,
        schedule: rule,
        enabled: body.enabled ?? true,
        expirationDate,
        shutdownInstance: body.shutdown_instance ?? false,
        autoDeploy: body.auto_deploy ?? false,
      });
      return { schedule: scheduleToWire(row) };
    },
  );

  app.put(
    '/transfers/:transfer_id/schedules/:schedule_id',
    {
      schema: {
        operationId: 'updateSchedule',
        summary: 'Change a schedule',
        description: 'A `schedule` replaces the old one whole; `expiration_date` null clears it.',
        tags,
        params,
        body: ScheduleUpdate,
        response: { 200: ScheduleAnswer },
      },
    },
    async (request) => {
      const { body } = request;
      if (body.auto_deploy) request.demand('migration:deployments:create');
      const change: store.ScheduleChange = {
        ...(body.schedule && { schedule: ruleOf(body.schedule) }),
        ...(typeof body.enabled === 'boolean' && { enabled: body.enabled }),
        ...(body.expiration_date !== undefined && { expiration_date: expirationOf(body.expiration_date, clock()) }),
        ...(typeof body.shutdown_instance === 'boolean' && { shutdown_instance: body.shutdown_instance }),
        ...(typeof body.auto_deploy === 'boolean' && { auto_deploy: body.auto_deploy }),
      };
      const { id } = await scheduleOf(request);
      return { schedule: scheduleToWire(found(await store.updateSchedule(db, id, change), 'Schedule', id)) };
    },
  );

  app.delete(
    '/transfers/:transfer_id/schedules/:schedule_id',
    {
      schema: {
        operationId: 'deleteSchedule',
        summary: 'Remove a schedule',
        description: 'Refused while the transfer runs.',
        tags,
        params,
        response: { 204: NoContent },
      },
    },
    async (request, reply) => {
      const row = await scheduleOf(request);
      const transfer = await store.getTransfer(db, row.transfer_id);
      if (transfer !== undefined && ACTIVE_EXECUTION_STATUSES.includes(transfer.last_execution_status)) {
        throw badRequest(
          `Transfer Schedule '${row.id}' cannot be deleted as its transfer is currently in '${transfer.last_execution_status}' state.`,
        );
      }
      await store.deleteSchedule(db, row.id);
      return noContent(reply);
    },
  );
}
