import { GodwitError } from '@godwit/domain';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { callerOf } from './context.ts';
import type { Policy } from './identity/policy.ts';
import { policyLabel } from './identity/policy-labels.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** For a route that does what several labels are about. @throws GodwitError POLICY when the caller may not */
    demand(label: string): void;
  }
}

/**
 * Asks the policy of every operation before its body is judged. Whose object it is, is the routes' matter: another
 * project's object is not there. An operation without a label is the administrators'.
 */
export function demandPolicies(app: FastifyInstance, policy: Policy): void {
  app.decorateRequest('demand', function (label: string) {
    const caller = callerOf(this);
    const own = { project_id: caller.projectId, user_id: caller.userId };
    if (!policy.allows(label, caller, own)) throw new GodwitError('POLICY', label);
  });
  app.addHook('preValidation', async (request) => {
    if (request.caller !== null && !request.is404) request.demand(labelOf(request) ?? 'context_is_admin');
  });
}

/** The label that the request's operation asks. */
export function labelOf(request: FastifyRequest): string | undefined {
  const { schema } = request.routeOptions;
  return policyLabel((schema as { operationId?: string } | undefined)?.operationId);
}
