import { readFileSync, writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';

/** As `nice` counts: 0 is as others, 19 stands back most. */
export const MOST_NICE = 19;

/**
 * Lets a process stand back from others when the processors are busy. Where each session is scheduled as a group (Linux with
 * `sched_autogroup_enabled`, sched(7)), niceness counts within its session only, so the session stands back too: to be asked
 * for leaders of a session of their own.
 *
 * @throws Error of the system: there is no such process, or it is somebody else's
 */
export function standBack(pid: number, niceness: number): void {
  if (niceness === 0) return;
  setPriority(pid, niceness);
  if (sessionOf(pid) !== pid) return;
  try {
    writeFileSync(`/proc/${pid}/autogroup`, String(niceness));
  } catch (error) {
    // The kernel has none.
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
}

/** Pid of the leader of a process's session; undefined: no such process, or the system does not tell. */
function sessionOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // proc(5): behind the name of the program, which may hold anything, come state, parent, group, session.
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3]);
  } catch {
    return undefined;
  }
}
