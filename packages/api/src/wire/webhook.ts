import type * as store from '@godwit/store';
import type { Webhook, WebhookDelivery } from '../schemas/webhook.ts';
import { commonKeys, timestamp } from './timestamp.ts';

/** Without the secret: it is never shown again. */
export function webhookToWire(row: store.Webhook): Webhook {
  return {
    ...commonKeys(row),
    id: row.id,
    project_id: row.project_id,
    user_id: row.user_id,
    name: row.name,
    url: row.url,
    events: [...row.events],
    statuses: [...row.statuses],
    enabled: row.enabled,
  };
}

export function deliveryToWire(row: store.WebhookDelivery): WebhookDelivery {
  return {
    ...commonKeys(row),
    id: row.id,
    webhook_id: row.webhook_id,
    state: row.state,
    attempts: row.attempts,
    next_at: row.state === 'waiting' ? timestamp(row.next_at) : null,
    last_status: row.last_status,
    last_error: row.last_error,
    body: row.body,
  };
}
