/**
 * Reads the assignments of an openrc file: `export NAME=value`, `NAME="value"`, `NAME='value'`, comments. Nothing is
 * executed: an openrc that computes its values needs a shell to source it.
 *
 * @param text contents of the file
 */
export function parseOpenrc(text: string): Record<string, string> {
  const values: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const match = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(line);
    if (match?.[1] !== undefined && match[2] !== undefined) values[match[1]] = unquote(match[2].trim());
  }
  return values;
}

/** A value as a POSIX shell reads it: adjoining quoted and plain parts, ended by the first unquoted space or `#`. */
function unquote(text: string): string {
  let value = '';
  let rest = text;
  while (rest.length > 0) {
    const single = /^'([^']*)'/.exec(rest);
    const double = /^"((?:[^"\\]|\\.)*)"/.exec(rest);
    if (single) value += single[1];
    else if (double) value += (double[1] ?? '').replace(/\\(["\\$`])/g, '$1');
    else if (/^\s/.test(rest)) break;
    else if (rest.startsWith('\\') && rest.length > 1) value += rest[1];
    else value += rest[0];
    const taken = single?.[0] ?? double?.[0];
    rest = rest.slice(taken?.length ?? (rest.startsWith('\\') ? 2 : 1));
  }
  return value;
}
