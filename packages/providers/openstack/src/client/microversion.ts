/** Versions that a service speaks, from its own description; null for a service without microversions. */
export interface VersionRange {
  min: string;
  max: string;
}

/** Compares `2.9` and `2.79` as versions: negative when `a` is older. */
export function compareVersions(a: string, b: string): number {
  const [majorA = 0, minorA = 0] = a.split('.').map(Number);
  const [majorB = 0, minorB = 0] = b.split('.').map(Number);
  return majorA - majorB || minorA - minorB;
}

/**
 * The version to ask for: the wanted one, or the newest the service has.
 *
 * @param least the oldest that will do
 * @returns null when the service is too old or too new for it
 */
export function negotiate(range: VersionRange, wanted: string, least: string): string | null {
  if (compareVersions(range.max, least) < 0 || compareVersions(range.min, wanted) > 0) return null;
  return compareVersions(range.max, wanted) < 0 ? range.max : wanted;
}

/** The range in the answer of a service's root or version document; null when it names none. */
export function rangeIn(document: unknown, major: string): VersionRange | null {
  for (const entry of entriesOf(document)) {
    const id: unknown = Reflect.get(entry, 'id');
    const min: unknown = Reflect.get(entry, 'min_version');
    const max: unknown = Reflect.get(entry, 'version') || Reflect.get(entry, 'max_version');
    if (typeof id !== 'string' || !id.startsWith(`v${major}`)) continue;
    if (typeof min === 'string' && typeof max === 'string' && min !== '' && max !== '') return { min, max };
  }
  return null;
}

function entriesOf(document: unknown): object[] {
  if (typeof document !== 'object' || document === null) return [];
  const one: unknown = Reflect.get(document, 'version');
  const many: unknown = Reflect.get(document, 'versions');
  const list = Array.isArray(many) ? many : one === undefined ? [] : [one];
  return list.filter((entry): entry is object => typeof entry === 'object' && entry !== null);
}
