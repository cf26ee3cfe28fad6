import { GodwitError } from '@godwit/domain';

/** Pages of a list at most: a cloud whose links lead in a circle must not hold a worker for ever. */
const MAX_PAGES = 10_000;
/** Times a list is read from its beginning because the item that a page should follow was deleted meanwhile. */
const MAX_STARTS = 10;

/**
 * All items of a list, page by page: each further one follows the last item's id, the marker. Services refuse a marker that
 * does not exist any more (Cinder, Glance and Neutron by 404, Nova by 400), so whoever deletes that item, another worker or a
 * stranger in the project, would fail a list that was half read; it is then read anew.
 *
 * @param object the list, in the operator's words
 * @param read one page; undefined: the first one
 * @throws GodwitError BUSY: the list changes faster than it can be read. What `read` throws
 */
export async function allPages<Item extends { id: string }>(
  object: string,
  read: (marker: string | undefined) => Promise<Item[]>,
): Promise<Item[]> {
  let last: unknown;
  for (let start = 0; start < MAX_STARTS; start++) {
    const found = new Map<string, Item>();
    let marker: string | undefined;
    try {
      for (let page = 0; page < MAX_PAGES; page++) {
        const items = await read(marker);
        const before = found.size;
        for (const item of items) found.set(item.id, item);
        marker = items.at(-1)?.id;
        // A service may give fewer than asked for on every page: only an empty or a repeated one is the last.
        if (marker === undefined || found.size === before) break;
      }
      return [...found.values()];
    } catch (error) {
      if (marker === undefined || !isMarkerGone(error)) throw error;
      last = error;
    }
  }
  throw new GodwitError('BUSY', object, { reason: 'it changes while it is read' }, { cause: last });
}

/** The page before was answered, so it is the marker that was refused. */
function isMarkerGone(error: unknown): boolean {
  return error instanceof GodwitError && (error.code === 'NOT_FOUND' || error.details.status === 400);
}
