export * from './network-map.ts';
export * from './provider.ts';
export * from './schemas.ts';
export * from './storage-mappings.ts';
export * from './validation.ts';
