import { GodwitError } from '@godwit/domain';

/**
 * Who may do what: rules by label, in a subset of oslo.policy's language. Pure.
 *
 *     role:NAME                    the caller has the role, in any case of letters
 *     project_id:%(project_id)s    the object is of the caller's project
 *     user_id:%(user_id)s          the object is the caller's own
 *     rule:NAME                    another rule holds
 *     !                            never
 *     and, or, not, ( )            binding in the usual order; an empty rule always holds
 */

/** The rules that hold unless the policy file says otherwise. */
export const DEFAULT_POLICIES: Readonly<Record<string, string>> = {
  // Sees and changes what belongs to every project.
  context_is_admin: 'role:admin',
  owner: 'project_id:%(project_id)s',
  // A caller who has nothing but the reader role changes nothing.
  writer: 'not role:reader or role:member or role:admin',
  admin_or_owner: 'rule:context_is_admin or rule:owner',
  admin_or_writer: 'rule:context_is_admin or (rule:owner and rule:writer)',
  ...area(
    'endpoints',
    [
      'list',
      'show',
      'list_instances',
      'get_instance',
      'list_networks',
      'list_storage',
      'list_options',
      'export_inventory',
    ],
    ['create', 'update', 'delete', 'validate_connection'],
  ),
  ...area('providers', ['list', 'show_schemas'], []),
  ...area('transfers', ['list', 'show'], ['create', 'update', 'delete', 'delete_disks']),
  ...area('transfer_executions', ['list', 'show'], ['create', 'delete', 'cancel']),
  ...area('transfer_schedules', ['list', 'show'], ['create', 'update', 'delete']),
  ...area('deployments', ['list', 'show'], ['create', 'delete', 'cancel']),
  ...area('minion_pools', ['list', 'show'], ['create', 'update', 'delete', 'act']),
  ...area('resources', ['list', 'show'], []),
  ...area('receipts', ['list', 'show'], []),
  ...area('ledger', ['list'], []),
  ...area('events', ['stream'], []),
  // What belongs to no project: everybody sees where work can run, administrators change it.
  ...shared('regions', ['list', 'show'], ['create', 'update', 'delete']),
  ...shared('services', ['list', 'show'], ['create', 'update', 'delete']),
  ...shared('diagnostics', [], ['get']),
  ...shared('logs', [], ['list', 'show', 'stream']),
  ...shared('audit', [], ['list']),
  // They make the server send to any address that it reaches.
  ...shared('webhooks', [], ['list', 'show', 'create', 'update', 'delete', 'act']),
};

function area(name: string, reads: string[], writes: string[]): Record<string, string> {
  return { ...rules(name, reads, 'rule:admin_or_owner'), ...rules(name, writes, 'rule:admin_or_writer') };
}

function shared(name: string, reads: string[], writes: string[]): Record<string, string> {
  return { ...rules(name, reads, ''), ...rules(name, writes, 'rule:context_is_admin') };
}

function rules(name: string, verbs: string[], rule: string): Record<string, string> {
  return Object.fromEntries(verbs.map((verb) => [`migration:${name}:${verb}`, rule]));
}

/** Whom a rule is asked about. */
export interface PolicySubject {
  userId: string;
  projectId: string | null;
  roles: readonly string[];
}

/** What a rule is asked about; of a new object the caller's own ids. */
export interface PolicyTarget {
  project_id: string | null;
  user_id: string | null;
}

type Check = (subject: PolicySubject, target: PolicyTarget) => boolean;

/** All rules of an installation, read once. */
export class Policy {
  readonly #checks = new Map<string, Check>();

  /**
   * @param changes rules of the policy file, laid over the defaults; a name that no label and no rule refers to is refused,
   *   because a mistyped label would silently leave a door as it was
   * @throws GodwitError CONFIG_INVALID, naming the rule
   */
  constructor(changes: Readonly<Record<string, string>> = {}) {
    const all = { ...DEFAULT_POLICIES, ...changes };
    const referred = new Set(
      Object.values(all).flatMap((text) => [...text.matchAll(/rule:([\w:]+)/g)].map((m) => m[1])),
    );
    for (const name of Object.keys(changes)) {
      if (!Object.hasOwn(DEFAULT_POLICIES, name) && !referred.has(name))
        throw wrong(name, 'nothing asks for this rule; docs/identity.md lists the labels');
    }
    for (const [name, text] of Object.entries(all))
      this.#checks.set(
        name,
        parse(name, text, (other) => this.#of(name, other)),
      );
    for (const name of this.#checks.keys()) refuseCircles(name, all);
  }

  /** False for a label that has no rule. */
  allows(label: string, subject: PolicySubject, target: PolicyTarget): boolean {
    return this.#checks.get(label)?.(subject, target) ?? false;
  }

  #of(asking: string, name: string): Check {
    return (subject, target) => {
      const check = this.#checks.get(name);
      if (check === undefined) throw wrong(asking, `there is no rule ${name}`);
      return check(subject, target);
    };
  }
}

function wrong(name: string, reason: string): GodwitError {
  return new GodwitError('CONFIG_INVALID', `policy "${name}"`, { reason });
}

function refuseCircles(start: string, all: Readonly<Record<string, string>>): void {
  const visit = (name: string, path: readonly string[]): void => {
    if (path.includes(name)) throw wrong(start, `it refers to itself: ${[...path, name].join(' -> ')}`);
    const text = Object.hasOwn(all, name) ? all[name] : undefined;
    if (text === undefined) throw wrong(start, `there is no rule ${name}`);
    for (const match of text.matchAll(/rule:([\w:]+)/g)) visit(match[1]!, [...path, name]);
  };
  visit(start, []);
}

const TOKEN = /\s*(?:(\()|(\))|([^\s()]+(?:\([^\s()]*\)[^\s()]*)?))/y;

function tokensOf(name: string, text: string): string[] {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  const whole = text.trimEnd();
  while (TOKEN.lastIndex < whole.length) {
    const match = TOKEN.exec(whole);
    if (match === null) throw wrong(name, `it cannot be read: ${text}`);
    tokens.push(match[1] ?? match[2] ?? match[3]!);
  }
  return tokens;
}

/** or < and < not, as in Python. */
function parse(name: string, text: string, ruleNamed: (other: string) => Check): Check {
  const tokens = tokensOf(name, text);
  if (tokens.length === 0) return () => true;
  let at = 0;
  const word = () => tokens[at]?.toLowerCase();
  const either = (): Check => {
    let left = both();
    while (word() === 'or') {
      at++;
      const [one, other] = [left, both()];
      left = (subject, target) => one(subject, target) || other(subject, target);
    }
    return left;
  };
  const both = (): Check => {
    let left = single();
    while (word() === 'and') {
      at++;
      const [one, other] = [left, single()];
      left = (subject, target) => one(subject, target) && other(subject, target);
    }
    return left;
  };
  const single = (): Check => {
    const token = tokens[at++];
    if (token === undefined) throw wrong(name, `it ends too early: ${text}`);
    if (token.toLowerCase() === 'not') {
      const inner = single();
      return (subject, target) => !inner(subject, target);
    }
    if (token === '(') {
      const inner = either();
      if (tokens[at++] !== ')') throw wrong(name, `a bracket is not closed: ${text}`);
      return inner;
    }
    return checkOf(name, token, ruleNamed);
  };
  const check = either();
  if (at < tokens.length) throw wrong(name, `"${tokens[at]}" is not expected there: ${text}`);
  return check;
}

function checkOf(name: string, token: string, ruleNamed: (other: string) => Check): Check {
  if (token === '!') return () => false;
  const role = /^role:([\w-]+)$/.exec(token)?.[1]?.toLowerCase();
  if (role !== undefined) return ({ roles }) => roles.some((one) => one.toLowerCase() === role);
  const other = /^rule:([\w:]+)$/.exec(token)?.[1];
  if (other !== undefined) return ruleNamed(other);
  if (token === 'project_id:%(project_id)s') {
    return ({ projectId }, target) => projectId !== null && projectId === target.project_id;
  }
  if (token === 'user_id:%(user_id)s') return ({ userId }, target) => userId === target.user_id;
  throw wrong(name, `"${token}" is no check that is known here`);
}
