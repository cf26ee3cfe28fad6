import type { FastifyInstance } from 'fastify';
import { badRequest, invalidInput, MALFORMED_BODY } from './request-error.ts';

/** Levels of nesting that a body may have; deeper ones overflow stacks further in. */
const DEEPEST = 64;

/**
 * Bodies as the contract reads them: only `application/json` is parsed, an empty body is no body, any other content type is
 * ignored (its bytes are read up to the limit and dropped). Malformed JSON is 400.
 */
export function readBodies(app: FastifyInstance): void {
  // Keys that poison prototypes are refused like malformed JSON.
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, text, done) => {
    if (text === '') {
      done(null, undefined);
      return;
    }
    parse(request, text as string, (error, value) => {
      const problem = error ? badRequest(MALFORMED_BODY) : unstorable(value);
      if (problem) done(problem);
      else done(null, value);
    });
  });
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, _bytes, done) => done(null, undefined));
}

/**
 * The refusal of a JSON value that no database column can hold (zero bytes, half surrogate pairs) or that is nested too
 * deeply; undefined when it is fine. Iterative, because the value is a stranger's.
 */
export function unstorable(value: unknown): Error | undefined {
  const left: { value: unknown; depth: number }[] = [{ value, depth: 0 }];
  for (let item = left.pop(); item !== undefined; item = left.pop()) {
    if (typeof item.value === 'string') {
      if (!isStorable(item.value)) return invalidInput('text holds a zero byte or half a surrogate pair');
    } else if (typeof item.value === 'object' && item.value !== null) {
      const depth = item.depth + 1;
      if (depth > DEEPEST) return invalidInput(`nested deeper than ${DEEPEST} levels`);
      for (const [key, inner] of Object.entries(item.value)) {
        if (!isStorable(key)) return invalidInput('a key holds a zero byte or half a surrogate pair');
        left.push({ value: inner, depth });
      }
    }
  }
  return undefined;
}

function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}
