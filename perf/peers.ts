import { runMeasured } from './measure.ts';

/** Ways to run nbdcopy. All flush at the end and know that the target is zero, as the product does. */
export interface NbdcopySetting {
  name: string;
  flags: string[];
}

export const nbdcopyDefault: NbdcopySetting = { name: 'nbdcopy, default', flags: [] };

/** The settings from which the best is picked, on this machine, in this scenario. */
export const nbdcopySettings: readonly NbdcopySetting[] = [
  {
    name: '1 thread, 1 connection, 512 KiB x8',
    flags: ['--threads=1', '--connections=1', '--request-size=524288', '--requests=8'],
  },
  {
    name: '1 thread, 1 connection, 1 MiB x16',
    flags: ['--threads=1', '--connections=1', '--request-size=1048576', '--requests=16'],
  },
  {
    name: '2 threads, 2 connections, 512 KiB x8',
    flags: ['--threads=2', '--connections=2', '--request-size=524288', '--requests=8'],
  },
  {
    name: '2 threads, 4 connections, 1 MiB x16',
    flags: ['--threads=2', '--connections=4', '--request-size=1048576', '--requests=16'],
  },
  {
    name: '4 threads, 8 connections, 512 KiB x64',
    flags: ['--threads=4', '--connections=8', '--request-size=524288', '--requests=64'],
  },
];

export function nbdcopyCommand(setting: NbdcopySetting, source: string, target: string): string[] {
  return ['nbdcopy', '--flush', '--destination-is-zero', ...setting.flags, source, target];
}

/** qemu-img with its best flags: out of order, most coroutines, target known zero. */
export function qemuImgCommand(source: string, target: string): string[] {
  return ['qemu-img', 'convert', '-n', '--target-is-zero', '-W', '-m', '16', '-f', 'raw', '-O', 'raw', source, target];
}

/** rsync as it is used to bring a disk image up to date: in place, comparing by content. */
export function rsyncCommand(source: string, target: string): string[] {
  return ['rsync', '--inplace', '--no-whole-file', '--ignore-times', source, target];
}

/**
 * Compares two raw images, holes included.
 *
 * @throws Error when they differ
 */
export async function mustBeEqual(a: string, b: string): Promise<void> {
  await runMeasured(['qemu-img', 'compare', '-f', 'raw', '-F', 'raw', a, b]);
}
