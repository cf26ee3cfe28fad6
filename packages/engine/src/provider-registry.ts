import { GodwitError } from '@godwit/domain';
import type { Provider } from '@godwit/provider';

/** Name -> how to load it. Loaded at first use, so that nobody pays for a platform that is not used. */
export type ProviderLoaders = Readonly<Record<string, () => Promise<Provider>>>;

/** The providers of this installation. */
export class ProviderRegistry {
  readonly #loaders: ProviderLoaders;
  readonly #loaded = new Map<string, Promise<Provider>>();

  constructor(loaders: ProviderLoaders) {
    this.#loaders = loaders;
  }

  get names(): string[] {
    return Object.keys(this.#loaders).sort();
  }

  /** Rejects with `UNKNOWN_PROVIDER`. */
  get(name: string): Promise<Provider> {
    const loader = Object.hasOwn(this.#loaders, name) ? this.#loaders[name] : undefined;
    if (loader === undefined) return Promise.reject(new GodwitError('UNKNOWN_PROVIDER', name));
    let provider = this.#loaded.get(name);
    if (provider === undefined) {
      provider = loader();
      provider.catch(() => this.#loaded.delete(name));
      this.#loaded.set(name, provider);
    }
    return provider;
  }
}
