import { execFileSync } from 'node:child_process';
import { statfsSync } from 'node:fs';
import { cpus, release, tmpdir, totalmem } from 'node:os';

/** Where it was measured: no figure means anything without it. */
export interface Machine {
  processors: string;
  memoryGiB: number;
  kernel: string;
  node: string;
  versions: Record<string, string>;
}

export function describeMachine(): Machine {
  return {
    processors: `${cpus().length} x ${cpus()[0]?.model.trim() ?? 'unknown'}`,
    memoryGiB: Math.round(totalmem() / 1_073_741_824),
    kernel: release(),
    node: process.version,
    versions: {
      nbdcopy: versionOf('nbdcopy', ['--version']),
      'qemu-img': versionOf('qemu-img', ['--version']),
      rsync: versionOf('rsync', ['--version']),
    },
  };
}

/**
 * A folder for images: memory where `need` bytes fit twice, else the temporary folder.
 *
 * @param need bytes
 */
export function imageFolder(need: number): string {
  const memory = '/dev/shm';
  try {
    const { bavail, bsize } = statfsSync(memory);
    return bavail * bsize > need * 2 ? memory : tmpdir();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return tmpdir();
    throw error;
  }
}

function versionOf(tool: string, args: string[]): string {
  try {
    const [line = ''] = execFileSync(tool, args, { encoding: 'utf8' }).split('\n');
    return /\d+(\.\d+)+/.exec(line)?.[0] ?? line;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'not installed';
    throw error;
  }
}
