import { GodwitError } from '@godwit/domain';
import { badRequest } from '../request-error.ts';

/** What a `POST /v3/auth/tokens` asks for, read out of Keystone's nested body. */
export interface TokenRequest {
  proof: { method: 'password'; user: { id: string } | { name: string }; password: string } | TokenProof;
  /** `default`: the user's default project when there is one. */
  scope: 'unscoped' | 'default' | { id: string } | { name: string };
}

interface TokenProof {
  method: 'token';
  token: string;
}

/** Characters of a name, an id, a password or a token. */
const LONGEST = 4_096;

type Fields = Record<string, unknown>;

/** The one domain that the local identity has. */
export const DOMAIN = { id: 'default', name: 'Default' };

/**
 * @throws GodwitError BAD_REQUEST for a body of another shape, UNAUTHORIZED for a domain, method or scope that cannot be
 */
export function readTokenRequest(body: unknown): TokenRequest {
  const auth = objectAt(objectAt({ body }, 'body', 'body'), 'auth', 'auth');
  const identity = objectAt(auth, 'identity', 'auth.identity');
  const methods = identity.methods;
  if (!Array.isArray(methods) || methods.length === 0) throw malformed('auth.identity.methods must be a list');
  // More than one method means that all must hold; one is all that there is here.
  if (methods.length > 1) throw new GodwitError('UNAUTHORIZED', 'the request');
  switch (methods[0]) {
    case 'password':
      return { proof: passwordOf(identity), scope: scopeOf(auth.scope) };
    case 'token': {
      const token = textAt(objectAt(identity, 'token', 'auth.identity.token'), 'id', 'auth.identity.token.id');
      return { proof: { method: 'token', token }, scope: scopeOf(auth.scope) };
    }
    default:
      throw new GodwitError('UNAUTHORIZED', 'the request');
  }
}

function passwordOf(identity: Fields): TokenRequest['proof'] {
  const where = 'auth.identity.password.user';
  const user = objectAt(objectAt(identity, 'password', 'auth.identity.password'), 'user', where);
  const password = textAt(user, 'password', `${where}.password`);
  if (user.id !== undefined) return { method: 'password', user: { id: textAt(user, 'id', `${where}.id`) }, password };
  const name = textAt(user, 'name', `${where}.name`);
  demandDomain(user.domain, `${where}.domain`);
  return { method: 'password', user: { name }, password };
}

function scopeOf(scope: unknown): TokenRequest['scope'] {
  if (scope === undefined || scope === null) return 'default';
  if (scope === 'unscoped') return 'unscoped';
  if (typeof scope !== 'object' || Array.isArray(scope)) throw malformed('auth.scope must be an object');
  const fields = scope as Fields;
  if (fields.unscoped !== undefined) return 'unscoped';
  if (fields.project === undefined) throw new GodwitError('UNAUTHORIZED', 'the request');
  const project = objectAt(fields, 'project', 'auth.scope.project');
  if (project.id !== undefined) return { id: textAt(project, 'id', 'auth.scope.project.id') };
  const name = textAt(project, 'name', 'auth.scope.project.name');
  demandDomain(project.domain, 'auth.scope.project.domain');
  return { name };
}

/** A name is unique within its domain, so it must be told; there is one. */
function demandDomain(domain: unknown, where: string): void {
  const fields = objectAt({ domain }, 'domain', where);
  const given = fields.id ?? fields.name;
  if (typeof given !== 'string') throw malformed(`${where} needs an id or a name`);
  const known = fields.id === undefined ? given.toLowerCase() === DOMAIN.name.toLowerCase() : given === DOMAIN.id;
  if (!known) throw new GodwitError('UNAUTHORIZED', 'the request');
}

function objectAt(fields: Fields, key: string, where: string): Fields {
  const value = fields[key];
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw malformed(`${where} must be an object`);
  return value as Fields;
}

function textAt(fields: Fields, key: string, where: string): string {
  const value = fields[key];
  if (typeof value !== 'string' || value === '') throw malformed(`${where} must be a text`);
  if (value.length > LONGEST) throw malformed(`${where} must have at most ${LONGEST} characters`);
  return value;
}

function malformed(reason: string): GodwitError {
  return badRequest(`Expecting to find valid JSON of a token request: ${reason}.`);
}
