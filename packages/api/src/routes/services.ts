import { GodwitError } from '@godwit/domain';
import * as store from '@godwit/store';
import type { App } from '../app.ts';
import { type ApiContext, noContent } from '../context.ts';
import { found, naming, nothingDeleted, taken } from '../request-error.ts';
import { NoContent, Params } from '../schemas/params.ts';
import { ServiceAnswer, ServiceCreate, ServicesAnswer, ServiceUpdate } from '../schemas/service.ts';
import { serviceToWire } from '../wire/service.ts';

/** Services are workers. They register themselves; entering one by hand only reserves its place. */
export function serviceRoutes(app: App, { db, providers }: ApiContext): void {
  const tags = ['services'];
  const params = Params('service_id');
  const typesOf = (platform: string) => providers.get(platform)?.types ?? [];
  const read = async (id: string) => serviceToWire(found(await store.getService(db, id), 'Service', id), typesOf);

  app.get(
    '/services',
    { schema: { operationId: 'listServices', summary: 'Workers', tags, response: { 200: ServicesAnswer } } },
    async () => {
      return { services: (await store.listServices(db)).map((row) => serviceToWire(row, typesOf)) };
    },
  );

  app.get(
    '/services/:service_id',
    { schema: { operationId: 'getService', summary: 'One worker', tags, params, response: { 200: ServiceAnswer } } },
    async (request) => {
      return { service: await read(request.params.service_id) };
    },
  );

  app.post(
    '/services',
    {
      schema: {
        operationId: 'createService',
        summary: 'Enter a worker by hand',
        description: 'Its status is UNKNOWN until a worker of that host, binary and topic reports.',
        tags,
        body: ServiceCreate,
        response: { 200: ServiceAnswer },
      },
    },
    async (request) => {
      const { host, binary, topic, enabled, mapped_regions } = request.body.service;
      const id = await taken(`service ${binary} on ${host}`, () =>
        store.inTransaction(db, async (trx) => {
          const row = await store.insertService(trx, { host, binary, topic, enabled: enabled ?? true });
          await naming(() => store.mapRegions(trx, 'service', row.id, mapped_regions ?? []));
          return row.id;
        }),
      );
      return { service: await read(id) };
    },
  );

  app.put(
    '/services/:service_id',
    {
      schema: {
        operationId: 'updateService',
        summary: 'Enable, disable or map a worker',
        tags,
        params,
        body: ServiceUpdate,
        response: { 200: ServiceAnswer },
      },
    },
    async (request) => {
      const id = request.params.service_id;
      const { enabled, mapped_regions } = request.body.service;
      await store.inTransaction(db, async (trx) => {
        found(await store.updateService(trx, id, enabled === undefined ? {} : { enabled }), 'Service', id);
        if (mapped_regions !== undefined) await naming(() => store.mapRegions(trx, 'service', id, mapped_regions));
      });
      return { service: await read(id) };
    },
  );

  app.delete(
    '/services/:service_id',
    {
      schema: {
        operationId: 'deleteService',
        summary: 'Forget a worker',
        description: 'Refused while it is UP: it would enter itself again, under another id and with no settings.',
        tags,
        params,
        response: { 204: NoContent },
      },
    },
    async (request, reply) => {
      const id = request.params.service_id;
      const outcome = await store.deleteService(db, id);
      if (outcome === 'up') {
        const reason =
          'it is UP, and would enter itself again under another id. Stop it first, or disable it so that it takes no work';
        throw new GodwitError('CONFLICT', `service ${id}`, { reason });
      }
      if (outcome === 'absent') throw nothingDeleted('service');
      return noContent(reply);
    },
  );
}
