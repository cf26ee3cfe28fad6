import type { TaskContext } from '../task-context.ts';

export default async function replicateDisks(_context: TaskContext) {
  return {};
}
