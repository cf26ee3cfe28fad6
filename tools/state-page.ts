import {
  EXECUTION_TRANSITIONS,
  MINION_MACHINE_TRANSITIONS,
  MINION_POOL_TRANSITIONS,
  TASK_TRANSITIONS,
  type TransitionTable,
} from '@godwit/domain';

/** docs/states.md: the state tables of the domain. */
export function statePage(): string {
  return `<!-- Generated from the state tables of packages/domain by "npm run generate". Do not edit. -->

# States

A status changes only along these tables; anything else is refused as a defect.

## Execution

The status of an execution follows from those of its tasks. A transfer and a deployment show the status of their newest
execution as \`last_execution_status\` (\`UNEXECUTED\` before the first; a deployment that waits for an execution is \`PENDING\`).

${table(EXECUTION_TRANSITIONS)}

## Task

\`RUNNING\` leads to itself: after the death of its worker the same task starts again, with a higher attempt number, on another.

${table(TASK_TRANSITIONS)}

## Minion pool

Deallocating by force is possible from every status but \`DEALLOCATED\`: work under way ends first. A pool changes only while it
is \`DEALLOCATED\`, and is deleted only while it is \`DEALLOCATED\` or \`ERROR\`.

${table(MINION_POOL_TRANSITIONS)}

## Machine of a minion pool

A machine belongs to one execution at a time. One that fails its health check is removed, and another takes its place. What a
worker that died left in ALLOCATING, HEALTHCHECKING or POWERING_OFF is begun again by its successor.

${table(MINION_MACHINE_TRANSITIONS)}
`;
}

function table<S extends string>(transitions: TransitionTable<S>): string {
  const rows = (Object.entries(transitions) as [S, readonly S[]][]).map(
    ([from, to]) => `| \`${from}\` | ${to.length === 0 ? 'final' : to.map((status) => `\`${status}\``).join(', ')} |`,
  );
  return `| Status | May become |\n|---|---|\n${rows.join('\n')}`;
}
