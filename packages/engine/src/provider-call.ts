import type { InstanceInfo, InstanceSummary, JsonObject, Network, StorageBackend } from '@godwit/domain';
import type { InstanceQuery, OptionValues, TargetRequest } from '@godwit/provider';

/**
 * What the API asks of a platform and waits for. Each is one short call of a provider, made by a worker that reaches the
 * endpoint; none of them changes anything there.
 */
export interface ProviderCalls {
  validateConnection: { args: Record<string, never>; result: null };
  listInstances: { args: { query: InstanceQuery }; result: InstanceSummary[] };
  getInstance: { args: { id: string; environment: JsonObject }; result: InstanceInfo };
  listNetworks: { args: { environment: JsonObject }; result: Network[] };
  listStorage: { args: { environment: JsonObject }; result: StorageBackend[] };
  /** `names` empty: all. */
  listOptions: {
    args: { side: 'source' | 'destination'; environment: JsonObject; names: string[] };
    result: OptionValues[];
  };
  'source.validate': { args: { instance: string; environment: JsonObject }; result: null };
  'target.validate': { args: { request: TargetRequest }; result: null };
}

export type ProviderMethod = keyof ProviderCalls;

export interface CallOptions {
  /** Milliseconds until `CONNECTION_FAILED`. Default 60,000. */
  timeoutMs?: number;
  /** Gives up waiting, and tells the worker to stop. */
  signal?: AbortSignal;
}
