export * from './engine-client.ts';
export * from './provider-call.ts';
