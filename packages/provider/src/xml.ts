import { XMLParser, XMLValidator } from 'fast-xml-parser';

/** An element of an XML document. */
export interface Element {
  name: string;
  attributes: Readonly<Record<string, string>>;
  children: readonly Element[];
  /** Its own text, trimmed. */
  text: string;
}

export interface XmlReading {
  /** Prefixes of names: kept (`qemu:commandline`) or dropped. */
  prefixes: 'keep' | 'drop';
  /** Longest document. Descriptions of machines are small; parsing blocks the worker, a hostile one of 1 Mi for less than a second. */
  maxCharacters: number;
  /** The error to throw when the document is refused. */
  refuse(reason: string): Error;
}

const OPTIONS = {
  preserveOrder: true,
  ignoreAttributes: false,
  attributeNamePrefix: '',
  parseTagValue: false,
  parseAttributeValue: false,
  processEntities: false,
  ignoreDeclaration: true,
  ignorePiTags: true,
};
const parsers = {
  keep: new XMLParser(OPTIONS),
  drop: new XMLParser({ ...OPTIONS, removeNSPrefix: true }),
};

/**
 * Parses a description that a platform printed or a stranger wrote. Document types are refused: their entities can grow
 * without bound or name files.
 *
 * @throws what `refuse` makes
 */
export function parseXml(text: string, { prefixes, maxCharacters, refuse }: XmlReading): Element {
  if (text.length > maxCharacters) throw refuse(`a description of more than ${maxCharacters} characters`);
  if (/<!DOCTYPE/i.test(text)) throw refuse('a description with a document type');
  const verdict = XMLValidator.validate(text);
  if (verdict !== true) throw refuse(`a description that is no XML: ${verdict.err.msg}`);
  let nodes: unknown;
  try {
    nodes = parsers[prefixes].parse(text);
  } catch (error) {
    throw refuse(`a description that cannot be parsed: ${error instanceof Error ? error.message : String(error)}`);
  }
  const root = Array.isArray(nodes) ? nodes.map(elementOf).find((found) => found !== null) : undefined;
  if (!root) throw refuse('a description without a root element');
  return root;
}

/** Its children of that name. */
export function all(parent: Element | undefined, name: string): Element[] {
  return parent?.children.filter((child) => child.name === name) ?? [];
}

/** Its descendant along the names, first of each. */
export function one(parent: Element | undefined, ...names: string[]): Element | undefined {
  let at = parent;
  for (const name of names) at = at?.children.find((child) => child.name === name);
  return at;
}

/** Text of the descendant along the names, or null when it is not there or empty. */
export function textOf(parent: Element | undefined, ...names: string[]): string | null {
  return one(parent, ...names)?.text || null;
}

/** Text that is XML already. */
export interface XmlText {
  readonly xml: string;
}

/** One element as text; `undefined` attributes and `null` children are left out. Strings among the children are escaped. */
export function xml(
  name: string,
  attributes: Readonly<Record<string, string | number | undefined>> = {},
  children: readonly (XmlText | string | number | null)[] = [],
): XmlText {
  const head = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}="${escapeXml(String(value))}"`)
    .join('');
  const body = children.filter((child) => child !== null);
  if (body.length === 0) return { xml: `<${name}${head}/>` };
  const only = body[0];
  if (body.length === 1 && (typeof only === 'string' || typeof only === 'number')) {
    return { xml: `<${name}${head}>${escapeXml(String(only))}</${name}>` };
  }
  const lines = body.map((child) => (typeof child === 'object' ? child.xml : escapeXml(String(child))));
  return { xml: `<${name}${head}>\n${lines.join('\n').replace(/^/gm, '  ')}\n</${name}>` };
}

/** The element as text again. */
export function printXml(element: Element): XmlText {
  return xml(
    element.name,
    element.attributes,
    element.children.length > 0 ? element.children.map(printXml) : element.text === '' ? [] : [element.text],
  );
}

/** Line ends too: an attribute would lose them, and text would be indented. */
function escapeXml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replace(/[\t\n\r]/g, (character) => `&#${character.charCodeAt(0)};`)
    .replace(/[^\u{20}-\u{10ffff}]/gu, '');
}

const named: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

function unescapeXml(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-fA-F]{1,6})|(\w+));/g, (whole, decimal, hexadecimal, name) => {
    if (name !== undefined) return named[name] ?? whole;
    const code = decimal === undefined ? Number.parseInt(hexadecimal, 16) : Number.parseInt(decimal, 10);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

function elementOf(node: unknown): Element | null {
  if (typeof node !== 'object' || node === null) return null;
  const name = Object.keys(node).find((key) => key !== ':@' && key !== '#text');
  if (name === undefined) return null;
  const body: unknown = Reflect.get(node, name);
  const nodes: unknown[] = Array.isArray(body) ? body : [];
  const raw: unknown = Reflect.get(node, ':@') ?? {};
  const attributes = Object.fromEntries(
    Object.entries(typeof raw === 'object' && raw !== null ? raw : {}).map(([key, value]) => [
      key,
      unescapeXml(String(value)),
    ]),
  );
  const texts = nodes
    .map((child) => (typeof child === 'object' && child !== null ? Reflect.get(child, '#text') : undefined))
    .filter((text) => text !== undefined);
  const children = nodes.map(elementOf).filter((child) => child !== null);
  return { name, attributes, children, text: unescapeXml(texts.join('')).trim() };
}
