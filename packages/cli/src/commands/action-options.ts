import { existsSync } from 'node:fs';
import type { ApiObject } from '../api.ts';
import type { Json } from '../cell.ts';
import { either, text, texts, toggle } from '../flags.ts';
import { readText } from '../json-option.ts';
import { suggestion, UsageError } from '../usage-error.ts';

/** Options that transfers and deployments share: scripts, pools, storage, morphing. */

export interface ScriptFlags {
  userScriptGlobal?: readonly string[];
  userScriptInstance?: readonly string[];
}

export const scriptFlags = {
  userScriptGlobal: texts('Script for all guests of an OS; an empty PATH removes it', 'OS=PATH[,phase=PHASE]'),
  userScriptInstance: texts('Script for one instance; an empty PATH removes it', 'INSTANCE=PATH[,phase=PHASE]'),
};

export interface PoolFlags {
  osmorphingMinionPoolMapping?: readonly string[];
}

export const poolFlags = {
  osmorphingMinionPoolMapping: texts('Minion pool for the OS morphing of an instance', 'INSTANCE=POOL'),
};

export interface StorageFlags {
  defaultStorageBackend?: string;
  diskStorageMapping?: readonly string[];
  storageBackendMapping?: readonly string[];
}

export const storageFlags = {
  defaultStorageBackend: text('Storage at the destination for everything else', 'NAME'),
  diskStorageMapping: texts('Storage at the destination for one disk; may be repeated', 'DISK=NAME'),
  storageBackendMapping: texts('Storage at the destination for all on one source storage', 'SOURCE=NAME'),
};

export interface DeployDefaultFlags {
  cloneDisks: boolean;
  dontCloneDisks: boolean;
  osMorphing: boolean;
  skipOsMorphing: boolean;
}

export const deployDefaultFlags = {
  cloneDisks: toggle('Deploy from copies of the disks, so that replication can go on'),
  dontCloneDisks: toggle('Deploy the disks themselves'),
  osMorphing: toggle('Adapt the guest to its new platform'),
  skipOsMorphing: toggle('Leave the guest as it is'),
};

/** Both are null when not said, which leaves the server's defaults. */
export function deployDefaults(flags: DeployDefaultFlags): {
  clone_disks: boolean | null;
  skip_os_morphing: boolean | null;
} {
  const morph = either(flags.osMorphing, flags.skipOsMorphing, '--os-morphing and --skip-os-morphing');
  return {
    clone_disks: either(flags.cloneDisks, flags.dontCloneDisks, '--clone-disks and --dont-clone-disks') ?? null,
    skip_os_morphing: morph === undefined ? null : !morph,
  };
}

/** The body's `storage_mappings`; empty when nothing was said. */
export function storageMappings(flags: StorageFlags): ApiObject {
  const disks = pairs(flags.diskStorageMapping ?? [], '--disk-storage-mapping', 'DISK=NAME');
  const backends = pairs(flags.storageBackendMapping ?? [], '--storage-backend-mapping', 'SOURCE=NAME');
  return {
    ...(flags.defaultStorageBackend === undefined ? {} : { default: flags.defaultStorageBackend }),
    ...(disks.length === 0 ? {} : { disk_mappings: disks.map(([disk_id, destination]) => ({ disk_id, destination })) }),
    ...(backends.length === 0
      ? {}
      : { backend_mappings: backends.map(([source, destination]) => ({ source, destination })) }),
  };
}

/** The body's `instance_osmorphing_minion_pool_mappings`. */
export function poolMappings(flags: PoolFlags): Record<string, string> {
  return Object.fromEntries(
    pairs(flags.osmorphingMinionPoolMapping ?? [], '--osmorphing-minion-pool-mapping', 'INSTANCE=POOL'),
  );
}

const OS_TYPES = ['bsd', 'linux', 'osx', 'solaris', 'windows'];
const PHASES = ['osmorphing_pre_os_mount', 'osmorphing_post_os_mount', 'replica_first_boot'];
const DEFAULT_PHASE = 'osmorphing_post_os_mount';

/** The body's `user_scripts`: the scripts' texts, read here. */
export function userScripts(flags: ScriptFlags): ApiObject {
  return {
    global: scripts(flags.userScriptGlobal ?? [], '--user-script-global', OS_TYPES),
    instances: scripts(flags.userScriptInstance ?? [], '--user-script-instance', undefined),
  };
}

function scripts(inputs: readonly string[], option: string, keys: readonly string[] | undefined): ApiObject {
  const found: Record<string, Json> = {};
  for (const input of inputs) {
    const [target = '', ...parameters] = input.split(',');
    const [key, path] = pair(target, option, 'NAME=PATH[,phase=PHASE]');
    if (keys !== undefined && !keys.includes(key)) {
      throw new UsageError(`${option}: unknown OS "${key}".${suggestion(key, keys)} Known: ${keys.join(', ')}.`);
    }
    const phase = phaseOf(parameters, option);
    if (path === '') {
      found[key] = null;
      continue;
    }
    if (!existsSync(path)) throw new UsageError(`${option}: there is no file ${path}.`);
    const before = found[key];
    found[key] = [...(Array.isArray(before) ? before : []), { phase, payload: readText(path, option) }];
  }
  return found;
}

function phaseOf(parameters: readonly string[], option: string): string {
  let phase = DEFAULT_PHASE;
  for (const parameter of parameters) {
    const [name, value] = pair(parameter, option, 'phase=PHASE');
    if (name !== 'phase') throw new UsageError(`${option}: unknown parameter "${name}"; only phase is known.`);
    phase = value;
  }
  if (!PHASES.includes(phase)) {
    throw new UsageError(
      `${option}: unknown phase "${phase}".${suggestion(phase, PHASES)} Known: ${PHASES.join(', ')}.`,
    );
  }
  return phase;
}

function pairs(inputs: readonly string[], option: string, form: string): [string, string][] {
  return inputs.map((input) => {
    const [key, value] = pair(input, option, form);
    return [unquote(key), unquote(value)];
  });
}

/** Splits at the first `=`: names may not hold one, paths and ids behind it may. */
function pair(input: string, option: string, form: string): [string, string] {
  const at = input.indexOf('=');
  if (at < 1) throw new UsageError(`${option}: "${input}" is not of the form ${form}.`);
  return [input.slice(0, at), input.slice(at + 1)];
}

function unquote(text: string): string {
  return text.replace(/^['"]|['"]$/g, '');
}
