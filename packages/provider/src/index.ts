export * from './provider.ts';
export * from './schemas.ts';
export * from './validation.ts';
