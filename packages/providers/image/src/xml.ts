import { GodwitError } from '@godwit/domain';
import { type Element, parseXml } from '@godwit/provider/xml';

const MAX_CHARACTERS = 1_048_576;

/**
 * Parses a description beside the disks; prefixes of names are dropped.
 *
 * @param object the file, for the error
 * @param format what it should be: `OVF`, `domain XML`
 * @throws GodwitError DISK_CORRUPT
 */
export function readXml(text: string, object: string, format: string): Element {
  return parseXml(text, {
    prefixes: 'drop',
    maxCharacters: MAX_CHARACTERS,
    refuse: (reason) => new GodwitError('DISK_CORRUPT', object, { format, reason }),
  });
}
