import { GodwitError } from '@godwit/domain';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { callerOf } from './context.ts';
import type { Policy } from './identity/policy.ts';
import { policyLabel } from './identity/policy-labels.ts';

/**
 * Asks the policy of every operation before its body is judged. Whose object it is, is the routes' matter: another
 * project's object is not there. An operation without a label is the administrators'.
 */
export function demandPolicies(app: FastifyInstance, policy: Policy): void {
  app.addHook('preValidation', async (request) => {
    if (request.caller === null || request.is404) return;
    const label = labelOf(request);
    const caller = callerOf(request);
    const own = { project_id: caller.projectId, user_id: caller.userId };
    if (!policy.allows(label ?? 'context_is_admin', caller, own)) {
      throw new GodwitError('POLICY', label ?? 'context_is_admin');
    }
  });
}

/** The label that the request's operation asks. */
export function labelOf(request: FastifyRequest): string | undefined {
  const { schema } = request.routeOptions;
  return policyLabel((schema as { operationId?: string } | undefined)?.operationId);
}
