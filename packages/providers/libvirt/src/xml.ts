import { GodwitError } from '@godwit/domain';
import { type Element, parseXml } from '@godwit/provider/xml';

const MAX_CHARACTERS = 8_388_608;

/**
 * Parses what libvirt printed; prefixes of names are kept.
 *
 * @param object whose description it is, for the error
 * @throws GodwitError PLATFORM_ERROR
 */
export function readXml(text: string, object: string): Element {
  return parseXml(text, {
    prefixes: 'keep',
    maxCharacters: MAX_CHARACTERS,
    refuse: (reason) => new GodwitError('PLATFORM_ERROR', object, { reason }),
  });
}
