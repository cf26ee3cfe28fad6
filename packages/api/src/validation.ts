import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js';
import type { FastifyInstance, FastifySchema } from 'fastify';
import { badRequest, invalidInput, NO_BODY } from './request-error.ts';

/** Reasons shown at most; a body can violate a schema in thousands of places. */
const MOST_REASONS = 20;

/**
 * Bodies are judged as they are: nothing is coerced, removed or filled in, and every violation is found.
 * Parameters and queries are strings that routes read themselves; their schemas are documentation.
 */
export function validateBodies(app: FastifyInstance): void {
  const ajv = new Ajv2020({ allErrors: true, coerceTypes: false, removeAdditional: false, strict: false });
  app.setValidatorCompiler(({ schema, httpPart }) => {
    const { title = '' } = schema as { title?: string };
    // An action is named by the only key of its body; its route reads it (see action-body.ts).
    if (httpPart !== 'body' || title.endsWith('Action')) return () => true;
    const validate = ajv.compile(schema as object);
    const names = bodyNames(schema);
    return (body: unknown) => {
      if (body === null || body === undefined || typeof body !== 'object') return { error: badRequest(NO_BODY) };
      if (validate(body)) return { value: body };
      return { error: bodyError(validate.errors ?? [], names) };
    };
  });
}

interface BodyNames {
  resource: string;
  verb: string;
}

/** `MinionPoolCreate` -> resource minion_pool, verb creation: the words of the contract's messages. */
function bodyNames(schema: FastifySchema): BodyNames {
  const title = (schema as { title?: string }).title ?? '';
  const verb = title.endsWith('Create') ? 'creation' : title.endsWith('Update') ? 'update' : '';
  const noun = title.replace(/(Create|Update)$/, '');
  return { resource: noun.replace(/(?<=.)(?=[A-Z])/g, '_').toLowerCase(), verb };
}

function bodyError(errors: ErrorObject[], names: BodyNames): Error {
  const missing = errors.find((error) => error.keyword === 'required' && /^(\/[^/]*)?$/.test(error.instancePath));
  const reasons = reasonsOf(errors);
  if (missing && names.verb !== '') {
    const key = String(missing.params.missingProperty);
    const text = lacks(names, missing, key);
    const rest = reasonsOf(errors.filter((error) => error !== missing));
    return badRequest([text, ...rest].join('; '));
  }
  return invalidInput(reasons.join('; '));
}

function lacks({ resource, verb }: BodyNames, error: ErrorObject, key: string): string {
  return error.instancePath === ''
    ? `The ${resource} ${verb} body needs to be encased inside the "${key}" key`
    : `The ${resource} ${verb} body lacks a required attribute: "${key}"`;
}

/** One line per violation: where, and what is wrong; doubles removed. */
function reasonsOf(errors: readonly ErrorObject[]): string[] {
  const lines = new Set<string>();
  for (const error of errors) {
    // The branches of an anyOf say it better than the anyOf itself.
    if (error.keyword === 'anyOf' && errors.length > 1) continue;
    lines.add(reasonOf(error));
  }
  const all = [...lines];
  return all.length > MOST_REASONS ? [...all.slice(0, MOST_REASONS), `and ${all.length - MOST_REASONS} more`] : all;
}

function reasonOf(error: ErrorObject): string {
  const path = error.instancePath.split('/').slice(1).map(unescapePointer).join('.');
  const where = path === '' ? '' : `${path} `;
  switch (error.keyword) {
    case 'required':
      return `${where}lacks "${error.params.missingProperty}"`.trim();
    case 'additionalProperties':
    case 'unevaluatedProperties':
      return `${where}must not have "${error.params.additionalProperty ?? error.params.unevaluatedProperty}"`;
    case 'enum':
      return `${where}must be one of ${(error.params.allowedValues as unknown[]).map((v) => JSON.stringify(v)).join(', ')}`;
    case 'const':
      return `${where}must be ${JSON.stringify(error.params.allowedValue)}`;
    default:
      return `${where}${error.message ?? 'is invalid'}`;
  }
}

function unescapePointer(part: string): string {
  return part.replaceAll('~1', '/').replaceAll('~0', '~');
}
