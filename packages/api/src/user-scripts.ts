import type { JsonObject } from '@godwit/domain';
import { invalidInput } from './request-error.ts';

/** Operating systems that scripts and pools may be for. */
export const OS_TYPES: readonly string[] = ['bsd', 'linux', 'osx', 'solaris', 'windows'];
const PHASES = ['osmorphing_pre_os_mount', 'osmorphing_post_os_mount', 'replica_first_boot'];
const DEFAULT_PHASE = 'osmorphing_post_os_mount';
const EMPTY = "Empty script received. Use 'None' if the script should be removed.";

interface Script {
  phase: string;
  payload: string;
  [key: string]: string;
}
type Scripts = Record<string, Script[]>;

/** Scripts in their stored form. */
export interface UserScripts extends JsonObject {
  global: Scripts;
  instances: Scripts;
}

/**
 * The `user_scripts` of a body in the stored form: every script a list of phase and payload, line ends of Linux and of
 * instance scripts made LF.
 *
 * @throws GodwitError INVALID_INPUT
 */
export function normalisedScripts(value: JsonObject | null | undefined): UserScripts {
  const { global, instances } = value ?? {};
  const globals = scriptMap(
    global,
    '"global" must be a mapping between the identifiers of the supported OS types and their respective scripts.',
  );
  for (const os of Object.keys(globals)) {
    if (!OS_TYPES.includes(os)) {
      throw invalidInput(
        `The provided global user script os_type "${os}" is invalid. Must be one of the following: ${quoted(OS_TYPES)}`,
      );
    }
  }
  const perInstance = scriptMap(
    instances,
    '"instances" must be a mapping between the identifiers of the instances and their respective scripts.',
  );
  return {
    global: mapValues(globals, (script, os) => scriptList(script, os === 'linux')),
    instances: mapValues(perInstance, (script) => scriptList(script, true)),
  };
}

/** A later `user_scripts` laid over an earlier one, key by key; a script given as null is removed. */
export function mergedScripts(before: JsonObject, change: JsonObject | null | undefined): UserScripts {
  const old = normalisedScripts(before);
  const next = normalisedScripts(change);
  return { global: laidOver(old.global, next.global), instances: laidOver(old.instances, next.instances) };
}

function laidOver(before: Scripts, change: Scripts): Scripts {
  const merged = { ...before, ...change };
  return Object.fromEntries(Object.entries(merged).filter(([, scripts]) => scripts.length > 0));
}

function scriptMap(value: unknown, otherwise: string): Record<string, unknown> {
  if (value === undefined || value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value)) throw invalidInput(otherwise);
  return value as Record<string, unknown>;
}

function scriptList(value: unknown, unixLines: boolean): Script[] {
  if (value === null) return [];
  if (typeof value === 'string') return [{ phase: DEFAULT_PHASE, payload: payloadOf(value, unixLines) }];
  if (!Array.isArray(value)) {
    throw invalidInput(
      'Invalid user script format. Expecting a string or a list of dicts containing the payload and phase.',
    );
  }
  return value.map((item: unknown) => scriptItem(item, unixLines));
}

function scriptItem(item: unknown, unixLines: boolean): Script {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) {
    throw invalidInput('Invalid user script list item, expecting dict.');
  }
  const { payload, phase, ...rest } = item as Record<string, unknown>;
  const extra = Object.keys(rest)[0];
  if (extra !== undefined) {
    throw invalidInput(`Invalid script item key: ${extra}, allowed keys: ['payload', 'phase']`);
  }
  const wanted = phase === undefined || phase === null || phase === '' ? DEFAULT_PHASE : phase;
  if (typeof wanted !== 'string' || !PHASES.includes(wanted)) {
    throw invalidInput(`Unknown user script phase: ${String(wanted)}, supported phases: ${quoted(PHASES)}.`);
  }
  if (payload === undefined) throw invalidInput("Missing 'payload' field.");
  if (typeof payload !== 'string') throw invalidInput('Invalid payload type, expecting string.');
  return { phase: wanted, payload: payloadOf(payload, unixLines) };
}

function payloadOf(text: string, unixLines: boolean): string {
  const payload = unixLines ? text.replaceAll('\r\n', '\n').replaceAll('\n\r', '\n') : text;
  if (/^[\r\n ]*$/.test(payload)) throw invalidInput(EMPTY);
  return payload;
}

function mapValues(map: Record<string, unknown>, change: (value: unknown, key: string) => Script[]): Scripts {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, change(value, key)]));
}

/** A list of words as the contract's messages print it. */
export function quoted(words: readonly string[]): string {
  return `[${words.map((word) => `'${word}'`).join(', ')}]`;
}
