import { GodwitError, type JsonObject } from '@godwit/domain';
import type { Provider, ProviderContext } from '@godwit/provider';
import { openConnectionInfo, toJson } from '@godwit/store';
import { sql } from 'kysely';
import { ANSWER_CHANNEL } from './contract.ts';
import { noLedger } from './ledger.ts';
import type { ProviderCalls, ProviderMethod } from './provider-call.ts';
import { endpointWorkDir } from './task-context.ts';
import type { WorkerContext } from './worker-context.ts';

/** Calls under way at once in one worker. */
const AT_ONCE = 16;

interface Call {
  id: string;
  endpoint_id: string;
  endpoint_name: string;
  type: string;
  method: ProviderMethod;
  args: JsonObject;
  remaining_ms: number;
}

/** Answers the calls that the API makes of providers. */
export class CallServer {
  readonly #worker: WorkerContext;
  readonly #running = new Map<string, AbortController>();
  #claiming: Promise<void> = Promise.resolve();

  constructor(worker: WorkerContext) {
    this.#worker = worker;
  }

  /** Calls that a former life of this worker had begun wait again. */
  async begin(): Promise<void> {
    await sql`
      update engine.provider_call set state = 'waiting', service_id = null
      where state = 'running' and service_id = ${this.#worker.service.id}`.execute(this.#worker.db);
    await sql`delete from engine.provider_call where expires_at < clock_timestamp() - interval '1 minute'`.execute(
      this.#worker.db,
    );
    this.look();
  }

  /** Takes what waits, as far as there is room. To be called at each notice, and now and then. */
  look(): void {
    this.#claiming = this.#claiming.then(async () => {
      try {
        while (this.#running.size < AT_ONCE && this.#worker.heart.alive() && this.#worker.service.enabled) {
          const call = await this.#claim();
          if (call === undefined) return;
          const controller = new AbortController();
          this.#running.set(call.id, controller);
          void this.#answer(call, controller.signal).finally(() => {
            this.#running.delete(call.id);
            this.look();
          });
        }
      } catch (error) {
        this.#worker.log.debug({ err: error }, 'cannot look for provider calls now');
      }
    });
  }

  /** The caller has gone. */
  giveUp(id: string): void {
    this.#running.get(id)?.abort(new GodwitError('CANCELED', 'the call'));
  }

  async #claim(): Promise<Call | undefined> {
    const { db, providers, service } = this.#worker;
    const { rows } = await sql<Call>`
      with mine as (
        update engine.provider_call set state = 'running', service_id = ${service.id}
        where id = (
          select call.id from engine.provider_call call join endpoint on endpoint.id = call.endpoint_id
          where call.state = 'waiting' and call.expires_at > clock_timestamp() and endpoint.type = any(${providers.names})
            and (not exists (select from region_mapping where object_type = 'endpoint' and object_id = endpoint.id)
              or exists (select from region_mapping where object_type = 'endpoint' and object_id = endpoint.id
                and region_id = any(${[...service.regions]})))
          order by call.created_at for update of call skip locked limit 1)
        returning *)
      select mine.id, endpoint_id, endpoint.name as endpoint_name, type, method, args,
        extract(epoch from expires_at - clock_timestamp())::float8 * 1000 as remaining_ms
      from mine join endpoint on endpoint.id = endpoint_id`.execute(db);
    return rows[0];
  }

  async #answer(call: Call, gaveUp: AbortSignal): Promise<void> {
    const { db, log } = this.#worker;
    let result: unknown = null;
    let error: GodwitError | undefined;
    try {
      result = (await this.#perform(call, gaveUp)) ?? null;
    } catch (cause) {
      error = GodwitError.wrap(cause, 'INTERNAL', `${call.method} of endpoint ${call.endpoint_name}`);
      if (error.code === 'INTERNAL') log.error({ err: cause, call: call.id }, 'a provider call failed');
    }
    try {
      await sql`
        with done as (
          update engine.provider_call set state = 'done', result = ${toJson(result)},
            error = ${error === undefined ? null : toJson(error.toData())}
          where id = ${call.id})
        select pg_notify(${ANSWER_CHANNEL}, ${call.id})`.execute(db);
    } catch (cause) {
      // Postgres is away: the caller asks again when it is back.
      log.debug({ err: cause, call: call.id }, 'an answer could not be written');
    }
  }

  async #perform(call: Call, gaveUp: AbortSignal): Promise<unknown> {
    const worker = this.#worker;
    const timeout = AbortSignal.timeout(Math.max(1, Math.round(call.remaining_ms)));
    const provider = await worker.providers.get(call.type);
    const context: ProviderContext = {
      endpoint: `endpoint ${call.endpoint_name}`,
      connectionInfo: await openConnectionInfo(worker.db, worker.secrets, call.endpoint_id),
      signal: AbortSignal.any([worker.heart.signal, gaveUp, timeout]),
      ledger: noLedger,
      workDir: await endpointWorkDir(worker, call.endpoint_id),
      progress: (message) => worker.log.debug({ call: call.id }, message),
    };
    return callProvider(provider, context, call.method, call.args);
  }
}

function callProvider(
  provider: Provider,
  context: ProviderContext,
  method: ProviderMethod,
  args: JsonObject,
): Promise<unknown> {
  /** The arguments were written by our own client under the same types. */
  const as = <M extends ProviderMethod>(_: M) => args as ProviderCalls[M]['args'];
  const lacks = (what: string) => Promise.reject(new GodwitError('UNSUPPORTED', context.endpoint, { what }));
  switch (method) {
    case 'validateConnection':
      return provider.validateConnection(context);
    case 'listInstances':
      return provider.listInstances(context, as(method).query);
    case 'getInstance':
      return provider.getInstance(context, as(method).id, as(method).environment);
    case 'listNetworks':
      return provider.listNetworks?.(context, as(method).environment) ?? lacks('listing networks');
    case 'listStorage':
      return provider.listStorage?.(context, as(method).environment) ?? lacks('listing storage');
    case 'listOptions': {
      const { side, environment, names } = as(method);
      return provider.listOptions?.(context, side, environment, names) ?? lacks('listing options');
    }
    case 'source.validate':
      return provider.source?.validate(context, as(method).instance, as(method).environment) ?? lacks('being a source');
    case 'target.validate':
      return provider.target?.validate(context, as(method).request) ?? lacks('being a target');
  }
}
