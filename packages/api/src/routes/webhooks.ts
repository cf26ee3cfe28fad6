import * as store from '@godwit/store';
import type { FastifyRequest } from 'fastify';
import { actionOf } from '../action-body.ts';
import type { App } from '../app.ts';
import { type ApiContext, callerOf, noContent, scopeOf } from '../context.ts';
import { isAdmin } from '../identity/authenticator.ts';
import { limitOf, single } from '../list-query.ts';
import { badRequest, found, invalidInput } from '../request-error.ts';
import { NoContent, Params, Query } from '../schemas/params.ts';
import {
  DELIVERY_STATES,
  DeliveriesAnswer,
  DeliveryAction,
  DeliveryAnswer,
  WebhookAction,
  WebhookAnswer,
  WebhookCreate,
  WebhookSecretAnswer,
  WebhooksAnswer,
  WebhookUpdate,
} from '../schemas/webhook.ts';
import { isSecret, newSecret } from '../webhooks/signature.ts';
import { urlProblem } from '../webhooks/target.ts';
import { deliveryToWire, webhookToWire } from '../wire/webhook.ts';

const MOST_DELIVERIES = 1_000;

/** Who outside is told of events. Administrators' by policy: a webhook makes the server send to any address it reaches. */
export function webhookRoutes(app: App, { db, secrets }: ApiContext): void {
  const tags = ['webhooks'];
  const params = Params('webhook_id');

  async function webhookOf(request: FastifyRequest & { params: { webhook_id: string } }): Promise<store.Webhook> {
    const id = request.params.webhook_id;
    return found(await store.getWebhook(db, id, scopeOf(request)), 'Webhook', id);
  }

  app.get(
    '/webhooks',
    { schema: { operationId: 'listWebhooks', summary: 'Webhooks', tags, response: { 200: WebhooksAnswer } } },
    async (request) => ({ webhooks: (await store.listWebhooks(db, scopeOf(request))).map(webhookToWire) }),
  );

  app.get(
    '/webhooks/:webhook_id',
    { schema: { operationId: 'getWebhook', summary: 'One webhook', tags, params, response: { 200: WebhookAnswer } } },
    async (request) => ({ webhook: webhookToWire(await webhookOf(request)) }),
  );

  app.post(
    '/webhooks',
    {
      schema: {
        operationId: 'createWebhook',
        summary: 'Have events of a project sent to a URL',
        description: 'From now on. Signed with a secret that is shown in this answer alone, when it was not given.',
        tags,
        body: WebhookCreate,
        response: { 200: WebhookSecretAnswer },
      },
    },
    async (request) => {
      const { name, url, events, statuses, enabled, secret, project_id: project } = request.body.webhook;
      const caller = callerOf(request);
      if (project && project !== caller.projectId && !isAdmin(caller)) {
        throw invalidInput('project_id of another project is for administrators');
      }
      judgeUrl(url);
      if (typeof secret === 'string' && !isSecret(secret)) {
        throw invalidInput('secret must be "whsec_" and the base64 of 24 to 64 bytes');
      }
      const made = secret ? null : newSecret();
      const row = await store.insertWebhook(db, secrets, {
        projectId: project || caller.projectId,
        userId: caller.userId,
        name,
        url,
        events: events ?? [],
        statuses: statuses ?? [],
        enabled: enabled ?? true,
        secret: secret || String(made),
      });
      return { webhook: { ...webhookToWire(row), secret: made } };
    },
  );

  app.put(
    '/webhooks/:webhook_id',
    {
      schema: {
        operationId: 'updateWebhook',
        summary: 'Change a webhook',
        description: 'What happens while it is disabled is not made up for.',
        tags,
        params,
        body: WebhookUpdate,
        response: { 200: WebhookAnswer },
      },
    },
    async (request) => {
      const { name, url, events, statuses, enabled } = request.body.webhook;
      if (url !== undefined) judgeUrl(url);
      const { id } = await webhookOf(request);
      const row = await store.updateWebhook(db, secrets, id, {
        ...(name !== undefined && { name }),
        ...(url !== undefined && { url }),
        ...(events !== undefined && { events }),
        ...(statuses !== undefined && { statuses }),
        ...(enabled !== undefined && { enabled }),
      });
      return { webhook: webhookToWire(found(row, 'Webhook', id)) };
    },
  );

  app.delete(
    '/webhooks/:webhook_id',
    {
      schema: {
        operationId: 'deleteWebhook',
        summary: 'Remove a webhook and what it has still to be told',
        tags,
        params,
        response: { 204: NoContent },
      },
    },
    async (request, reply) => {
      await store.deleteWebhook(db, (await webhookOf(request)).id);
      return noContent(reply);
    },
  );

  app.post(
    '/webhooks/:webhook_id/actions',
    {
      schema: {
        operationId: 'actOnWebhook',
        summary: 'test: send an event now; rotate-secret: sign with a new secret',
        tags,
        params,
        body: WebhookAction,
        response: { 200: WebhookSecretAnswer },
      },
    },
    async (request) => {
      const { name } = actionOf(request.body, ['test', 'rotate-secret']);
      const row = await webhookOf(request);
      if (name === 'rotate-secret') {
        const secret = newSecret();
        const changed = found(await store.updateWebhook(db, secrets, row.id, { secret }), 'Webhook', row.id);
        return { webhook: { ...webhookToWire(changed), secret } };
      }
      if (!row.enabled) throw badRequest(`Webhook '${row.id}' is disabled: nothing is sent to it.`);
      await store.appendEvent(db, {
        projectId: row.project_id,
        type: 'webhook.test',
        objectType: 'webhook',
        objectId: row.id,
        payload: { name: row.name },
      });
      return { webhook: { ...webhookToWire(row), secret: null } };
    },
  );

  app.get(
    '/webhooks/:webhook_id/deliveries',
    {
      schema: {
        operationId: 'listWebhookDeliveries',
        summary: 'What a webhook was or will be sent, newest first',
        description: 'Kept for a week after they ended.',
        tags,
        params,
        querystring: Query({
          state: 'Only waiting, delivered or failed ones',
          limit: `At most; default 100, most ${MOST_DELIVERIES}`,
        }),
        response: { 200: DeliveriesAnswer },
      },
    },
    async (request) => {
      const word = single(request.query, 'state');
      const state = DELIVERY_STATES.find((known) => known === word);
      if (word !== undefined && state === undefined) throw badRequest(`Unknown delivery state: ${word}`);
      const limit = Math.min(limitOf(request.query) ?? 100, MOST_DELIVERIES);
      const { id } = await webhookOf(request);
      const rows = await store.listDeliveries(db, id, { limit, ...(state !== undefined && { state }) });
      return { deliveries: rows.map(deliveryToWire) };
    },
  );

  app.post(
    '/webhooks/:webhook_id/deliveries/:delivery_id/actions',
    {
      schema: {
        operationId: 'actOnWebhookDelivery',
        summary: 'retry: try one again that was given up',
        tags,
        params: Params('webhook_id', 'delivery_id'),
        body: DeliveryAction,
        response: { 200: DeliveryAnswer },
      },
    },
    async (request) => {
      actionOf(request.body, ['retry']);
      const id = request.params.delivery_id;
      const row = await store.retryDelivery(db, (await webhookOf(request)).id, id);
      return { delivery: deliveryToWire(found(row, 'Failed delivery', id)) };
    },
  );
}

function judgeUrl(url: string): void {
  const problem = urlProblem(url);
  if (problem !== undefined) throw invalidInput(`url is ${problem}`);
}
