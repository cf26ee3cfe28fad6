import * as store from '@godwit/store';
import type { App } from '../app.ts';
import { type ApiContext, noContent } from '../context.ts';
import { found, nothingDeleted, taken } from '../request-error.ts';
import { NoContent, Params } from '../schemas/params.ts';
import { RegionAnswer, RegionCreate, RegionsAnswer, RegionUpdate } from '../schemas/region.ts';
import { regionToWire } from '../wire/region.ts';

/** Regions belong to no project: everybody reads them, administrators change them. */
export function regionRoutes(app: App, { db }: ApiContext): void {
  const tags = ['regions'];
  const params = Params('region_id');
  const read = async (id: string) => regionToWire(found(await store.getRegion(db, id), 'Region', id));

  app.get(
    '/regions',
    { schema: { operationId: 'listRegions', summary: 'Regions', tags, response: { 200: RegionsAnswer } } },
    async () => {
      return { regions: (await store.listRegions(db)).map(regionToWire) };
    },
  );

  app.get(
    '/regions/:region_id',
    { schema: { operationId: 'getRegion', summary: 'One region', tags, params, response: { 200: RegionAnswer } } },
    async (request) => {
      return { region: await read(request.params.region_id) };
    },
  );

  app.post(
    '/regions',
    {
      schema: {
        operationId: 'createRegion',
        summary: 'Make a region',
        tags,
        body: RegionCreate,
        response: { 200: RegionAnswer },
      },
    },
    async (request) => {
      const { name, description, enabled } = request.body.region;
      const row = await taken(`region ${name}`, () =>
        store.insertRegion(db, { name, description: description ?? '', enabled: enabled ?? true }),
      );
      return { region: await read(row.id) };
    },
  );

  app.put(
    '/regions/:region_id',
    {
      schema: {
        operationId: 'updateRegion',
        summary: 'Change a region',
        tags,
        params,
        body: RegionUpdate,
        response: { 200: RegionAnswer },
      },
    },
    async (request) => {
      const { name, description, enabled } = request.body.region;
      const id = request.params.region_id;
      const row = await taken(`region ${name}`, () =>
        store.updateRegion(db, id, {
          ...(name !== undefined && { name }),
          ...(description !== undefined && { description: description ?? '' }),
          ...(enabled !== undefined && { enabled }),
        }),
      );
      return { region: await read(found(row, 'Region', id).id) };
    },
  );

  app.delete(
    '/regions/:region_id',
    {
      schema: { operationId: 'deleteRegion', summary: 'Remove a region', tags, params, response: { 204: NoContent } },
    },
    async (request, reply) => {
      if (!(await store.deleteRegion(db, request.params.region_id))) throw nothingDeleted('region');
      return noContent(reply);
    },
  );
}
