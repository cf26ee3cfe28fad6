export * from './canonical-json.ts';
export { connectEngine } from './connect-engine.ts';
export * from './engine-client.ts';
export * from './provider-call.ts';
export type { ProviderLoaders } from './provider-registry.ts';
export * from './receipt-signer.ts';
export { migrateEngine } from './schema.ts';
