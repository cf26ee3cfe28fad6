import * as store from '@godwit/store';
import type { App } from '../app.ts';
import { type ApiContext, scopeOf } from '../context.ts';
import { found } from '../request-error.ts';
import { ReplicaDisksAnswer } from '../schemas/godwit.ts';
import { Params } from '../schemas/params.ts';
import { replicaDiskToWire } from '../wire/godwit.ts';

export function replicaDiskRoutes(app: App, { db }: ApiContext): void {
  app.get(
    '/transfers/:transfer_id/disks',
    {
      schema: {
        operationId: 'listTransferDisks',
        summary: 'Replica disks of a transfer and how far each is',
        tags: ['transfers'],
        params: Params('transfer_id'),
        response: { 200: ReplicaDisksAnswer },
      },
    },
    async (request) => {
      const id = request.params.transfer_id;
      found(await store.getTransfer(db, id, scopeOf(request)), 'Transfer', id);
      return { disks: (await store.listReplicaDisks(db, id)).map(replicaDiskToWire) };
    },
  );
}
