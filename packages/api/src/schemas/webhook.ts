import { EVENT_STATUSES, EVENT_SUBJECTS } from '@godwit/domain';
import { type Static, Type } from 'typebox';
import { common, commonExample, Exact, FreeObject, Id, Nullable, OneOf, Open, Timestamp } from './json.ts';

const Events = (options: { description?: string } = {}) =>
  Type.Array(Type.String({ pattern: `^(${EVENT_SUBJECTS.join('|')})(\\.[a-z_]+)?$` }), {
    maxItems: 50,
    description:
      'Types of events, or their first words: execution.updated, schedule. Empty: all but those of tasks, progress and webhooks',
    ...options,
  });

const Statuses = () =>
  Type.Array(OneOf(EVENT_STATUSES), {
    maxItems: 50,
    description:
      'Of events that tell a status, only those that tell one of these; others, such as transfer.created, are sent all the same. Empty: all',
  });

const webhook = {
  ...common,
  id: Id,
  project_id: Type.String({ description: 'Whose events it hears' }),
  user_id: Type.String({ description: 'Who made it' }),
  name: Type.String(),
  url: Type.String(),
  events: Events(),
  statuses: Statuses(),
  enabled: Type.Boolean(),
};

const example = {
  ...commonExample,
  id: '4d1c9a40-0a5e-4d0a-8c43-9c2c8f2d6a01',
  project_id: '0f4a9f4f5c0b4d0b8a3b9d1e2f3a4b5c',
  user_id: '7c2c8f2d6a014d1c9a400a5e4d0a8c43',
  name: 'pager',
  url: 'https://hooks.example.org/godwit',
  events: ['execution', 'deployment'],
  statuses: ['COMPLETED', 'ERROR'],
  enabled: true,
};

export const Webhook = Exact('Webhook', webhook, { examples: [example] });
export type Webhook = Static<typeof Webhook>;

const WithSecret = Exact(
  'WebhookWithSecret',
  { ...webhook, secret: Nullable(Type.String({ description: 'Made here and shown this once; null: given by you' })) },
  { examples: [{ ...example, secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw' }] },
);

export const WebhookAnswer = Exact('WebhookAnswer', { webhook: Webhook });
export const WebhookSecretAnswer = Exact('WebhookSecretAnswer', { webhook: WithSecret });
export const WebhooksAnswer = Exact('WebhooksAnswer', { webhooks: Type.Array(Webhook) });

const name = Type.String({ minLength: 1, maxLength: 255 });
const url = Type.String({ description: 'http or https, without a user; redirects are not followed' });
const secret = Type.Optional(
  Nullable(Type.String({ description: 'whsec_ and the base64 of 24 to 64 bytes. Default: one is made' })),
);

export const WebhookCreate = Open(
  'WebhookCreate',
  {
    webhook: Open('WebhookCreateBody', {
      name,
      url,
      events: Type.Optional(Nullable(Events())),
      statuses: Type.Optional(Nullable(Statuses())),
      enabled: Type.Optional(Nullable(Type.Boolean({ description: 'Default true' }))),
      secret,
      project_id: Type.Optional(
        Nullable(Type.String({ description: 'Another project, for administrators. Default: the own one' })),
      ),
    }),
  },
  {
    examples: [
      { webhook: { name: 'pager', url: 'https://hooks.example.org/godwit', events: ['execution', 'deployment'] } },
    ],
  },
);
export const WebhookUpdate = Open(
  'WebhookUpdate',
  {
    webhook: Open('WebhookUpdateBody', {
      name: Type.Optional(name),
      url: Type.Optional(url),
      events: Type.Optional(Events()),
      statuses: Type.Optional(Statuses()),
      enabled: Type.Optional(Type.Boolean()),
    }),
  },
  { examples: [{ webhook: { enabled: false } }] },
);
export const WebhookAction = Type.Object(
  {
    test: Type.Optional(Type.Null({ description: 'Sends an event of type webhook.test' })),
    'rotate-secret': Type.Optional(Type.Null({ description: 'Signs with a new secret from now on' })),
  },
  { title: 'WebhookAction', additionalProperties: true, examples: [{ test: null }] },
);

export const DELIVERY_STATES = ['waiting', 'delivered', 'failed'] as const;

const Delivery = Exact('WebhookDelivery', {
  ...common,
  id: Id,
  webhook_id: Id,
  state: OneOf(DELIVERY_STATES, { description: 'waiting: for its first or next attempt; failed: given up' }),
  attempts: Type.Integer(),
  next_at: Nullable({ ...Timestamp, description: 'Of the next attempt' }),
  last_status: Nullable(Type.Integer({ description: 'HTTP status of the last answer' })),
  last_error: Nullable(Type.String()),
  body: FreeObject('As it is sent'),
});
export type WebhookDelivery = Static<typeof Delivery>;
export const DeliveryAnswer = Exact('WebhookDeliveryAnswer', { delivery: Delivery });
export const DeliveriesAnswer = Exact('WebhookDeliveriesAnswer', { deliveries: Type.Array(Delivery) });
export const DeliveryAction = Type.Object(
  { retry: Type.Optional(Type.Null({ description: 'All attempts again, for one that was given up' })) },
  { title: 'WebhookDeliveryAction', additionalProperties: true, examples: [{ retry: null }] },
);
