import type { Json } from './cell.ts';

/** An object of the API. */
export type ApiObject = Record<string, Json>;

/** Query parameters; an array is repeated, undefined is left out. */
export type Query = Record<string, string | number | boolean | readonly string[] | undefined>;

/** An event of the API's stream. */
export interface ApiEvent {
  /** Increases; the stream can be resumed after it. */
  id: string;
  /** `transfer.updated`, `execution.updated`, `task.updated`, `progress`, ... */
  type: string;
  data: ApiObject;
}

/** Which events, from when. */
export interface EventOptions {
  /** Id of an event already seen; `0`: from the oldest that is kept. Default: from now on. */
  after?: string;
  /** Only these types; `execution` stands for all that begin so. Default: all. */
  types?: readonly string[];
  /** Only events of this object. */
  objectId?: string;
  signal: AbortSignal;
}

/** What the commands need of the API. Paths are below the project: `/endpoints`. Rejects with the client's ApiError. */
export interface Api {
  get(path: string, query?: Query): Promise<ApiObject>;
  /** An answer that is not JSON. */
  getText(path: string, accept: string, query?: Query): Promise<string>;
  /** An answer of bytes. */
  getBytes(path: string, query?: Query): Promise<Uint8Array>;
  post(path: string, body: Json): Promise<ApiObject>;
  put(path: string, body: Json): Promise<ApiObject>;
  delete(path: string): Promise<void>;
  /** Reconnects by itself and goes on where it was; ends when the signal aborts. */
  events(options: EventOptions): AsyncIterable<ApiEvent>;
}

/** What the commands need of the identity service. Paths are below its version: `/users`. Rejects with ApiError. */
export interface IdentityApi {
  identity(method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: Json): Promise<ApiObject>;
}

/** What the commands need of the service that keeps the logs. Rejects with ApiError. */
export interface LogsApi {
  names(): Promise<string[]>;
  /** One log, oldest line first; times are seconds since 1970. */
  content(name: string, query: { start_date?: number; end_date?: number }): Promise<AsyncIterable<Uint8Array>>;
  /** Messages as they come, until the signal aborts or the server ends it. */
  follow(query: { app_name?: string; severity: number }, signal: AbortSignal): AsyncIterable<ApiObject>;
}

/** The value under `key` of an answer: a list of objects. */
export function listOf(answer: ApiObject, key: string): ApiObject[] {
  const found = answer[key];
  if (!Array.isArray(found)) return [];
  return found.filter((item): item is ApiObject => typeof item === 'object' && item !== null && !Array.isArray(item));
}

/** The value under `key` of an answer: an object, empty when there is none. */
export function objectOf(answer: ApiObject, key: string): ApiObject {
  const found = answer[key];
  return typeof found === 'object' && found !== null && !Array.isArray(found) ? found : {};
}

/** Text under `key`, empty when there is none. */
export function textAt(object: ApiObject, key: string): string {
  const found = object[key];
  return typeof found === 'string' || typeof found === 'number' ? String(found) : '';
}

/** A number under `key`, 0 when there is none. */
export function numberAt(object: ApiObject, key: string): number {
  const found = Number(object[key] ?? 0);
  return Number.isFinite(found) ? found : 0;
}
