/**
 * Text for people that others have written: names on a platform, messages of a server. Control characters would move the
 * cursor, recolour the screen or rename the window, and so make it say what nobody said: they are shown as `\x1b`. Line
 * feeds and tabs stay. Formats for programs (json, yaml, csv, value) are not changed: there the exact value counts.
 */
export function visible(text: string): string {
  return text.replace(/[^\P{Cc}\n\t]/gu, (sign) => `\\x${sign.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** The same on one line. */
export function visibleLine(text: string): string {
  return visible(text).replaceAll('\n', '\\n');
}
