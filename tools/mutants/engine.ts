import type { Mutant } from './mutant.ts';

const engine = 'packages/engine/test/';
const checkpoints = 'packages/store/src/postgres-checkpoint-store.ts';

/** Checkpoints in Postgres, tasks, ledger, reaper, and what the verifier and the providers promise. */
export const engineMutants: Mutant[] = [
  {
    name: 'commits of an earlier owner are accepted',
    loses: 'checkpoints of the successor, to a worker that was taken for dead',
    file: checkpoints,
    find: `      where id = \${this.#id} and fence = \${this.#fence} and commit_no <= \${number}`,
    replace: `      where id = \${this.#id} and commit_no <= \${number}`,
    tests: ['packages/store/test/checkpoint', `${engine}zombie`],
  },
  {
    name: 'a commit that was held up undoes later ones',
    loses: 'what was committed since',
    file: checkpoints,
    find: ` and commit_no <= \${number}`,
    replace: ` and \${number} = \${number}`,
    tests: ['packages/store/test/checkpoint'],
  },
  {
    name: 'an earlier owner may complete a disk',
    loses: 'changes since the token that it sets',
    file: checkpoints,
    find: `    .where('id', '=', id)
    .where('fence', '=', fence)
    .executeTakeFirst();
  if (result.numUpdatedRows`,
    replace: `    .where('id', '=', id)
    .executeTakeFirst();
  if (result.numUpdatedRows`,
    tests: ['packages/store/test/checkpoint', `${engine}zombie`],
  },
  {
    name: 'any attempt may claim a disk',
    loses: 'a disk written by two workers at once',
    file: checkpoints,
    find: `    if (task.attempt !== owner.attempt) {`,
    replace: `    if (task.attempt < owner.attempt) {`,
    tests: ['packages/store/test/checkpoint', `${engine}zombie`],
  },
  {
    name: 'the end of a past attempt counts',
    loses: 'results of a worker that was taken for dead over those of its successor',
    file: 'packages/engine/src/task-end.ts',
    find: `  if (task.attempt !== attempt || isFinalTask(task.status)) return false;`,
    replace: `  if (isFinalTask(task.status)) return false;`,
    tests: [`${engine}zombie`, `${engine}takeover`, `${engine}cancel`],
  },
  {
    name: 'a worker without heartbeat goes on',
    loses: 'a disk written by two workers at once',
    file: 'packages/engine/src/heart.ts',
    find: `performance.now() - this.#last > this.#options.limitMs) {`,
    replace: `performance.now() - this.#last > this.#options.limitMs * 1000) {`,
    tests: [`${engine}takeover`, `${engine}zombie`],
  },
  {
    name: 'nobody takes over the work of the dead',
    loses: 'executions that hang for ever',
    file: 'packages/engine/src/takeover.ts',
    find: `!living.has(workflow.executorId ?? '')`,
    replace: `living.has('') && !living.has(workflow.executorId ?? '')`,
    tests: [`${engine}takeover`],
  },
  {
    name: 'a change tracker is trusted without a token',
    loses: 'everything that changed before the tracker began',
    file: 'packages/engine/src/tasks/replicate-disks.ts',
    find: `        mode: disk.changes === 'exact' && row.token !== null ? 'changed' : 'compare',`,
    replace: `        mode: disk.changes === 'exact' ? 'changed' : 'compare',`,
    tests: [`${engine}token-chain`],
  },
  {
    name: 'the token moves on although the copy failed',
    loses: 'what changed before the failure',
    file: 'packages/engine/src/tasks/replicate-disks.ts',
    find: `  await whileDatabaseIsAway(retry, () => place.board.open(disk.id, disk.size));`,
    replace: `  await whileDatabaseIsAway(retry, () => place.board.open(disk.id, disk.size));
  await worker.db.updateTable('replica_disk').set({ token: disk.token }).where('id', '=', row.id).execute();`,
    tests: [`${engine}token-chain`],
  },
  {
    name: 'nobody asks whether the watched source still is what was frozen',
    loses: 'a receipt for bytes of two moments',
    file: 'packages/engine/src/tasks/replicate-disks.ts',
    find: `  await from.source.check?.(from.context, place.snapshot);`,
    replace: ``,
    tests: ['testbed/spine/trouble', `${engine}token-chain`, `${engine}execution`],
  },
  {
    name: 'the pass that ends the source is proven only in part',
    loses: 'the whole proof at cutover',
    file: 'packages/engine/src/tasks/replicate-disks.ts',
    find: `transfer.options.verify ?? (last ? 'whole' : 'changed'),`,
    replace: `transfer.options.verify ?? (last ? 'changed' : 'changed'),`,
    tests: [`${engine}execution`],
  },
  {
    name: 'a half-way replica may be booted',
    loses: 'a machine of two moments',
    file: 'packages/engine/src/deployable.ts',
    find: `    if (torn.has(row.id)) return`,
    replace: `    if (torn.has('') && row.id !== '') return`,
    tests: [`${engine}lent-disks`, `${engine}execution`],
  },
  {
    name: 'disks that a deployment may have written to are trusted',
    loses: 'the difference between what the guest wrote and the source',
    file: 'packages/store/src/replica-disks.ts',
    find: `    .where('instance', '=', instance)
    .where('lent_to', 'is not', null)
    .returningAll()`,
    replace: `    .where('instance', '=', instance)
    .where('lent_to', '=', '')
    .returningAll()`,
    tests: [`${engine}lent-disks`],
  },
  {
    name: 'a limit of the transfer is not read',
    loses: 'the network of everybody else',
    file: 'packages/engine/src/rate-limits.ts',
    find: `      return row?.options.rate_limit ?? 0;`,
    replace: `      return 0 * (row?.options.rate_limit ?? 0);`,
    tests: [`${engine}rounds`, `${engine}execution`],
  },
  {
    name: 'a canceled execution is not cleaned up',
    loses: 'snapshots that fill the source',
    file: 'packages/domain/src/task-graph.ts',
    find: `    { type: 'DELETE_TRANSFER_SOURCE_RESOURCES', dependsOn: ['REPLICATE_DISKS'], onError: true },`,
    replace: `    { type: 'DELETE_TRANSFER_SOURCE_RESOURCES', dependsOn: ['REPLICATE_DISKS'] },`,
    tests: ['packages/domain/test/task-graph', `${engine}cancel`],
  },
  {
    name: 'a cancel is never noticed by the worker',
    loses: 'minutes of unwanted copying',
    file: 'packages/engine/src/cancel.ts',
    find: `      worker.runs.cancel(row.id, row.cancel_requested === 'force');`,
    replace: `      if (row.id === '') worker.runs.cancel(row.id, row.cancel_requested === 'force');`,
    tests: [`${engine}cancel`],
  },
  {
    name: 'the ledger hears of a disk only after it was made',
    loses: 'orphans that nobody knows of',
    file: 'packages/providers/image/src/target.ts',
    find: `  const entry = await ctx.ledger.intend('disk', path, handle, 'transfer');
  const partial`,
    replace: `  const partial`,
    tests: ['packages/providers/image/test/conformance', 'packages/providers/image/test/target'],
  },
  {
    name: 'the reaper ignores whose it is',
    loses: "somebody else's disk",
    file: 'packages/providers/image/src/mark.ts',
    find: `  if (mark?.key !== key) {`,
    replace: `  if (mark?.key !== key && key === '') {`,
    tests: ['packages/providers/image/test/'],
  },
  {
    name: 'the reaper removes what an execution still needs',
    loses: 'the snapshot of a running copy',
    file: 'packages/store/src/ledger.ts',
    find: `                .where('execution.finished_at', 'is', null),`,
    replace: `                .where('execution.finished_at', 'is not', null),`,
    tests: ['packages/store/test/ledger', `${engine}execution`],
  },
  {
    name: 'an announcement that was never confirmed is forgotten at once',
    loses: 'orphans that appear after their maker died',
    file: 'packages/store/src/ledger.ts',
    find: `    and created_at > clock_timestamp() - \${settleMs}::float8 * interval '1 ms')\`;`,
    replace: `    and created_at > clock_timestamp() + \${settleMs}::float8 * interval '1 ms')\`;`,
    tests: ['packages/store/test/ledger'],
  },
  {
    name: 'two workers may write one raw disk',
    loses: 'bytes of the one under those of the other',
    file: 'packages/providers/image/src/lease.ts',
    find: `    if (!lives) return { dead: true, token: found.token };`,
    replace: `    if (!lives || own.pid > 0) return { dead: true, token: found.token };`,
    tests: ['packages/providers/image/test/target'],
  },
  {
    name: 'a replica that was cut short is grown',
    loses: 'its end, hidden behind zeroes',
    file: 'packages/providers/image/src/target.ts',
    find: `  if (present < disk.size) {`,
    replace: `  if (present < 0) {`,
    tests: ['packages/providers/image/test/target'],
  },
  {
    name: 'a file that changed under a watched copy is not noticed',
    loses: 'a disk of two moments',
    file: 'packages/providers/image/src/stamp.ts',
    find: `        String(info.mtimeNs) === stamp.mtime_ns &&
        String(info.ctimeNs) === stamp.ctime_ns;`,
    replace: `        stamp.mtime_ns !== '';`,
    tests: ['packages/providers/image/test/freeze'],
  },
  {
    name: 'secrets are stored in clear',
    loses: 'every password, to whoever reads a backup',
    file: 'packages/store/src/secrets.ts',
    find: `    const text = Buffer.concat([cipher.update(JSON.stringify(value), 'utf8'), cipher.final()]);`,
    replace: `    const text = Buffer.concat([cipher.update(JSON.stringify(value), 'utf8'), cipher.final(), Buffer.from(JSON.stringify(value))]);`,
    tests: ['packages/store/test/secrets'],
  },
  {
    name: 'a sealed secret opens at any place',
    loses: 'the password of one endpoint, copied into the row of another',
    file: 'packages/store/src/secrets.ts',
    find: `Buffer.from(\`\${place.table}/\${place.id}\`, 'utf8')`,
    replace: `Buffer.from(place.table, 'utf8')`,
    tests: ['packages/store/test/secrets'],
  },
  {
    name: 'the verifier believes the receipt, not the disk',
    loses: 'the proof',
    file: 'packages/verify/src/verify.ts',
    find: `    verdict.holds = verdict.root === receipt.sourceRoot;`,
    replace: `    verdict.holds = verdict.root === receipt.sourceRoot || receipt.targetRoot === receipt.sourceRoot;`,
    tests: ['packages/verify/test'],
  },
  {
    name: 'the verifier accepts any signature',
    loses: 'the worth of receipts',
    file: 'packages/verify/src/receipt.ts',
    find: `  if (!verify(null, text, key, Buffer.from(signature, 'base64'))) {`,
    replace: `  if (!verify(null, text, key, Buffer.from(signature, 'base64')).toString()) {`,
    tests: ['packages/verify/test'],
  },
];
