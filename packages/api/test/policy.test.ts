import { describe, expect, test } from 'vitest';
import { DEFAULT_POLICIES, Policy, type PolicySubject } from '../src/identity/policy.ts';
import { policyLabel } from '../src/identity/policy-labels.ts';
import { apiDocument } from '../src/index.ts';

const subject = (roles: string[], projectId = 'p1', userId = 'u1'): PolicySubject => ({ roles, projectId, userId });
const target = { project_id: 'p1', user_id: 'u1' };
const allows = (rule: string, who: PolicySubject, what = target) =>
  new Policy({ 'migration:regions:create': rule }).allows('migration:regions:create', who, what);

describe('the rule language', () => {
  test.each([
    ['role:admin', ['admin'], true],
    ['role:admin', ['Admin'], true],
    ['role:admin', ['member'], false],
    ['', [], true],
    ['!', ['admin'], false],
    ['not role:reader', ['member'], true],
    ['not role:reader', ['reader'], false],
    ['role:a or role:b and role:c', ['a'], true],
    ['role:a or role:b and role:c', ['b'], false],
    ['(role:a or role:b) and role:c', ['a'], false],
    ['(role:a or role:b) and role:c', ['b', 'c'], true],
    ['not (role:a or role:b) and role:c', ['c'], true],
    ['project_id:%(project_id)s', [], true],
    ['user_id:%(user_id)s and role:x', ['x'], true],
    ['rule:admin_or_owner', [], true],
  ])('%s for roles %j is %s', (rule, roles, expected) => {
    expect(allows(rule, subject(roles))).toBe(expected);
  });

  test('owns nothing of another project or user', () => {
    expect(allows('project_id:%(project_id)s', subject([], 'p2'))).toBe(false);
    expect(allows('user_id:%(user_id)s', subject([], 'p1', 'u2'))).toBe(false);
    expect(allows('rule:admin_or_owner', subject(['member'], 'p2'))).toBe(false);
    expect(allows('rule:admin_or_owner', subject(['admin'], 'p2'))).toBe(true);
  });

  test.each([
    ['migration:regions:create', 'role:admin and', 'ends too early'],
    ['migration:regions:create', '(role:admin', 'a bracket is not closed'],
    ['migration:regions:create', 'role:admin role:x', 'is not expected there'],
    ['migration:regions:create', '@', '"@" is no check that is known here'],
    ['migration:regions:create', 'http://evil/', 'is no check that is known here'],
    ['migration:regions:create', 'rule:nowhere', 'there is no rule nowhere'],
    ['owner', 'rule:admin_or_owner', 'it refers to itself'],
    ['migration:regoins:create', 'role:admin', 'nothing asks for this rule'],
  ])('%s: "%s" is refused at the start', (name, rule, reason) => {
    expect(() => new Policy({ [name]: rule })).toThrow(reason);
  });

  test('takes rules of one’s own when another rule asks for them', () => {
    const policy = new Policy({ operators: 'role:ops', 'migration:logs:list': 'rule:operators' });
    expect(policy.allows('migration:logs:list', subject(['ops']), target)).toBe(true);
    expect(policy.allows('migration:logs:list', subject(['admin']), target)).toBe(false);
  });
});

describe('the defaults', () => {
  const policy = new Policy();

  test('keep what belongs to no project for administrators', () => {
    for (const label of Object.keys(DEFAULT_POLICIES)) {
      if (
        !/^migration:(regions|services):(create|update|delete)|^migration:(logs|diagnostics|audit|webhooks)/.test(label)
      )
        continue;
      expect(policy.allows(label, subject(['member']), target), label).toBe(false);
      expect(policy.allows(label, subject(['admin']), target), label).toBe(true);
    }
  });

  test('let a reader read and change nothing', () => {
    for (const label of Object.keys(DEFAULT_POLICIES).filter((name) => name.startsWith('migration:'))) {
      const reads =
        /:(list|show|get|stream|export)\w*$/.test(label) && !/(logs|diagnostics|audit|webhooks)/.test(label);
      expect(policy.allows(label, subject(['reader']), target), label).toBe(reads);
      if (reads) expect(policy.allows(label, subject(['member', 'reader']), target), label).toBe(true);
    }
  });

  test('have a label for every operation below the migration API, and a rule for every label', async () => {
    const { paths } = (await apiDocument('0.1.0')) as {
      paths: Record<string, Record<string, { operationId: string }> & { servers?: unknown }>;
    };
    for (const [path, item] of Object.entries(paths)) {
      if (item.servers !== undefined && !path.startsWith('/logs')) continue;
      for (const method of ['get', 'post', 'put', 'delete']) {
        const id = item[method]?.operationId;
        if (id === undefined) continue;
        expect(DEFAULT_POLICIES, `${id} ${policyLabel(id)}`).toHaveProperty([policyLabel(id) ?? 'none']);
      }
    }
  });
});
