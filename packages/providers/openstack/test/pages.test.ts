import { GodwitError } from '@godwit/domain';
import { describe, expect, test } from 'vitest';
import { answerError } from '../src/client/answer-error.ts';
import { allPages } from '../src/client/pages.ts';

/** A service that gives two items a page, in order, and refuses a marker that it does not have. */
class TwoAPage {
  readonly ids: string[];
  reads = 0;
  refusal = 404;
  /** Called before each page. */
  before: (read: number) => void = () => undefined;

  constructor(...ids: string[]) {
    this.ids = ids;
  }

  readonly read = async (marker: string | undefined): Promise<{ id: string }[]> => {
    this.before(++this.reads);
    const at = marker === undefined ? 0 : this.ids.indexOf(marker) + 1;
    if (marker !== undefined && at === 0) {
      const body = JSON.stringify({ itemNotFound: { message: `marker ${marker} not found` } });
      throw answerError('volumes of lab', { status: this.refusal, body, requestId: null });
    }
    return this.ids.slice(at, at + 2).map((id) => ({ id }));
  };

  delete(id: string): void {
    this.ids.splice(this.ids.indexOf(id), 1);
  }
}

const idsOf = async (service: TwoAPage) => (await allPages('volumes of lab', service.read)).map(({ id }) => id);

describe('a list', () => {
  test('is read to its end, page by page', async () => {
    expect(await idsOf(new TwoAPage())).toEqual([]);
    expect(await idsOf(new TwoAPage('a'))).toEqual(['a']);
    expect(await idsOf(new TwoAPage('a', 'b', 'c', 'd', 'e'))).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  test.each([404, 400])(
    'is read anew when the item that a page should follow is deleted meanwhile (%i)',
    async (status) => {
      const service = new TwoAPage('a', 'b', 'c', 'd', 'e');
      service.refusal = status;
      service.before = (read) => {
        if (read === 2) service.delete('b');
        if (read === 4) service.delete('c');
      };
      expect(await idsOf(service)).toEqual(['a', 'd', 'e']);
    },
  );

  test('that changes all the time is given up as busy, to be asked for again', async () => {
    const service = new TwoAPage('a', 'b');
    let next = 0;
    service.before = () => service.ids.splice(0, 2, `a${++next}`, `b${next}`);
    await expect(idsOf(service)).rejects.toMatchObject({ code: 'BUSY', kind: 'retryable' });
  });

  test('fails with whatever else is the matter, and at once where its first page is refused', async () => {
    const service = new TwoAPage('a', 'b', 'c');
    service.before = (read) => {
      if (read === 2) throw new GodwitError('AUTHENTICATION_FAILED', 'lab');
    };
    await expect(idsOf(service)).rejects.toMatchObject({ code: 'AUTHENTICATION_FAILED' });
    const gone = new TwoAPage('a');
    gone.before = () => {
      throw new GodwitError('NOT_FOUND', 'volumes of lab');
    };
    await expect(idsOf(gone)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(gone.reads).toBe(1);
  });

  test('of a service that repeats a page for ever ends', async () => {
    expect(await allPages('images of lab', async () => [{ id: 'a' }, { id: 'b' }])).toHaveLength(2);
  });
});
