import type { Project, RoleAssignment, TokenOwner, UserAccount } from '@godwit/store';
import { DOMAIN } from './token-request.ts';

/** Keystone's documents. Times there have a zone, unlike those of the migration API. */

/** Service type that clients look for. */
const MIGRATION = 'migration';
/** Service type of the logs, and where they are. */
const LOGGER = 'coriolis-logger';
export const LOGS_ROOT = '/logs/api/v1';

export interface TokenFacts extends TokenOwner {
  method: 'password' | 'token';
  auditId: string;
}

function moment(at: Date): string {
  return `${at.toISOString().slice(0, 19)}.000000Z`;
}

/** @param root `http://127.0.0.1:7000` */
export function tokenDocument(facts: TokenFacts, root: string) {
  const { projectId, projectName } = facts;
  return {
    token: {
      methods: [facts.method],
      user: { domain: DOMAIN, id: facts.userId, name: facts.userName, password_expires_at: null },
      audit_ids: [facts.auditId],
      issued_at: moment(facts.issuedAt),
      expires_at: moment(facts.expiresAt),
      ...(projectId !== null && {
        project: { domain: DOMAIN, id: projectId, name: projectName ?? projectId },
        is_domain: false,
        roles: facts.roles.map((name) => ({ id: name, name })),
        catalog: catalog(root, projectId),
      }),
    },
  };
}

export function catalog(root: string, projectId: string) {
  return [
    service(MIGRATION, 'godwit', `${root}/v1/${projectId}`),
    service(LOGGER, 'godwit-logs', `${root}${LOGS_ROOT}`),
    service('identity', 'keystone', `${root}/identity/v3`),
  ];
}

function service(type: string, name: string, url: string) {
  const endpoints = ['public', 'internal', 'admin'].map((interfaceName) => ({
    id: `${name}-${interfaceName}`,
    interface: interfaceName,
    region: 'RegionOne',
    region_id: 'RegionOne',
    url,
  }));
  return { id: name, type, name, endpoints };
}

export function projectsDocument(projects: readonly Project[], self: string) {
  return { projects: projects.map(projectDocument), links: { next: null, self, previous: null } };
}

export function projectDocument(project: Project) {
  return {
    id: project.id,
    name: project.name,
    description: project.description,
    domain_id: DOMAIN.id,
    parent_id: DOMAIN.id,
    enabled: project.enabled,
    is_domain: false,
    tags: [],
    options: {},
  };
}

export function userDocument(user: UserAccount) {
  return {
    id: user.id,
    name: user.name,
    domain_id: DOMAIN.id,
    enabled: user.enabled,
    default_project_id: user.default_project_id,
    password_expires_at: null,
    options: {},
  };
}

/** A role has no id but its name. */
export function rolesDocument(names: readonly string[]) {
  return names.map((name) => ({ id: name, name, domain_id: null, description: null, options: {} }));
}

/** With the names beside the ids, as `include_names` asks; those who did not ask ignore them. */
export function assignmentsDocument(
  rows: readonly RoleAssignment[],
  users: readonly UserAccount[],
  projects: readonly Project[],
) {
  const nameOf = (list: readonly { id: string; name: string }[], id: string) =>
    list.find((one) => one.id === id)?.name ?? id;
  return rows.map((row) => ({
    role: { id: row.role, name: row.role },
    user: { id: row.user_id, name: nameOf(users, row.user_id), domain: DOMAIN },
    scope: { project: { id: row.project_id, name: nameOf(projects, row.project_id), domain: DOMAIN } },
    links: {},
  }));
}

export function versionDocument(root: string) {
  return {
    id: 'v3.14',
    status: 'stable',
    updated: '2020-04-07T00:00:00Z',
    links: [{ rel: 'self', href: `${root}/identity/v3/` }],
    'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.identity-v3+json' }],
  };
}
