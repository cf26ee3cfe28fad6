export { connectEngine } from './connect-engine.ts';
export * from './engine-client.ts';
export { hostFacts } from './host-facts.ts';
export { poolsOf, refuseUnfitPools } from './pools/fit.ts';
export * from './provider-call.ts';
export type { ProviderLoaders } from './provider-registry.ts';
export { endpointRateSetting } from './rate-limits.ts';
export * from './receipt-signer.ts';
export { migrateEngine } from './schema.ts';
