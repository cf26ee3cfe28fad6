export * from './error.ts';
export * from './error-catalogue.ts';
export * from './instance.ts';
export * from './json.ts';
