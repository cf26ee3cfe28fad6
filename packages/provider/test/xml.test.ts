import { describe, expect, it } from 'vitest';
import { all, one, parseXml, printXml, textOf, type XmlReading, xml } from '../src/xml.ts';

const reading: XmlReading = { prefixes: 'keep', maxCharacters: 10_000, refuse: (reason) => new Error(reason) };

describe('XML', () => {
  it('comes back as it was written, whatever characters are in it', () => {
    const hostile = `a<b>&"'\n  c\td\r\né 🐦 ]]> &amp; &#10;`;
    const written = xml('a', { key: hostile, none: undefined, number: 3 }, [
      xml('b', {}, [hostile.trim()]),
      xml('c', {}, [xml('d', {}, ['two\nlines'])]),
      null,
      xml('e'),
    ]);
    const root = parseXml(written.xml, reading);
    expect(root.attributes).toEqual({ key: hostile, number: '3' });
    expect(textOf(root, 'b')).toBe(hostile.trim());
    expect(textOf(root, 'c', 'd')).toBe('two\nlines');
    expect(textOf(root, 'e')).toBeNull();
    expect(parseXml(printXml(root).xml, reading)).toEqual(root);
  });

  it('is indented by its depth', () => {
    expect(xml('a', {}, [xml('b', { x: 1 }, [xml('c')]), xml('d', {}, [5])]).xml).toBe(
      '<a>\n  <b x="1">\n    <c/>\n  </b>\n  <d>5</d>\n</a>',
    );
  });

  it('drops what XML cannot carry', () => {
    expect(xml('a', {}, ['x\u0000\u0008y']).xml).toBe('<a>xy</a>');
  });

  it('keeps prefixes of names, or drops them', () => {
    const text = '<?xml version="1.0"?><q:a xmlns:q="u"><q:b q:c="1"/><q:b/></q:a>';
    expect(all(parseXml(text, reading), 'q:b')).toHaveLength(2);
    expect(one(parseXml(text, { ...reading, prefixes: 'drop' }), 'b')?.attributes).toEqual({ c: '1' });
  });

  it('is refused when it is too long, brings a document type, is broken or empty', () => {
    const refusals: [string, RegExp][] = [
      [`<a>${'x'.repeat(10_000)}</a>`, /more than 10000 characters/],
      ['<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', /document type/],
      ['<a><b></a>', /no XML/],
      ['', /no XML|root element/],
      ['just text', /no XML|root element/],
    ];
    for (const [text, reason] of refusals) expect(() => parseXml(text, reading), text.slice(0, 40)).toThrow(reason);
  });
});
