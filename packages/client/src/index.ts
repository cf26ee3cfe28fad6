export * from './api-error.ts';
export * from './client.ts';
export type { FollowOptions, GodwitEvent } from './event-stream.ts';
export type { components, operations, paths } from './generated/schema.ts';
export * from './session.ts';
