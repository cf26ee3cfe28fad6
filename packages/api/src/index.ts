export { buildApi } from './api.ts';
export type { ApiConfig, ApiDeps, ExternalSecrets } from './deps.ts';
export { apiDocument } from './document.ts';
export type { Authenticator, Caller } from './identity/authenticator.ts';
export { describeProvider, PROVIDER_TYPE, type ProviderDescription } from './provider-description.ts';
export { WebhookDeliverer } from './webhooks/deliverer.ts';
