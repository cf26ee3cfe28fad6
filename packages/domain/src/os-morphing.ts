import type { OsType } from './instance.ts';
import type { JsonObject } from './json.ts';

/** What a deployment says about the inside of its instances. */
export interface MorphingWishes {
  skip_os_morphing: boolean;
  /** `global` by operating system, `instances` by name; each a list of scripts. */
  user_scripts: JsonObject;
  instance_osmorphing_minion_pool_mappings: Readonly<Record<string, unknown>>;
}

const WHY = 'OS morphing is not part of this version';

/**
 * Lines that tell what was to be done inside an instance and is not done, for nothing inside an instance is changed. None
 * where nothing was asked for, or where `skip_os_morphing` says that nothing shall be done.
 *
 * @param osType of the instance; scripts for other systems are not meant for it. Of one that is not known all may be
 */
export function leftUndoneInside(wishes: MorphingWishes, instance: string, osType: OsType): string[] {
  if (wishes.skip_os_morphing) return [];
  const global = Object.entries(objectAt(wishes.user_scripts, 'global'))
    .filter(([os]) => os === osType || osType === 'unknown')
    .map(([, scripts]) => scripts);
  const scripts = [...global, objectAt(wishes.user_scripts, 'instances')[instance]].flatMap((one) => one ?? []).length;
  const pool = wishes.instance_osmorphing_minion_pool_mappings[instance];
  return [
    ...(scripts === 0
      ? []
      : [`${scripts} user ${scripts === 1 ? 'script was' : 'scripts were'} kept and not run: ${WHY}`]),
    ...(typeof pool === 'string' && pool !== ''
      ? [`Nothing is done on the machine of OS morphing pool ${pool}: ${WHY}`]
      : []),
  ];
}

function objectAt(object: JsonObject, key: string): JsonObject {
  const value = object[key];
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
}
