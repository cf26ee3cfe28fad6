/**
 * `locked`: it is ours until the file is closed. `held`: somebody who has the same file open holds it, and nobody dead can.
 * `unknown`: this file system has no locks.
 */
type FileLockAnswer = 'locked' | 'held' | 'unknown';

// flock(2), errno(3) of Linux; the numbers are the same on all of its processors.
const SHARED = 1;
const EXCLUSIVE = 2;
const AT_ONCE = 4;
const EINTR = 4;
const EWOULDBLOCK = 11;

type Flock = (fd: number, how: number) => Promise<number>;

let loaded: Promise<Flock | null> | null = null;

/**
 * Asks for the lock of an open file, without waiting. The kernel keeps it as long as the file is open in any process, be
 * that stopped, frozen or in another container, and takes it away when the last one has ended: also over NFS, whose server
 * asks for signs of life.
 */
export async function lockFile(fd: number, how: 'shared' | 'exclusive'): Promise<FileLockAnswer> {
  loaded ??= process.platform === 'linux' ? load().catch(() => null) : Promise.resolve(null);
  const flock = await loaded;
  if (flock === null) return 'unknown';
  for (;;) {
    const errno = await flock(fd, (how === 'shared' ? SHARED : EXCLUSIVE) | AT_ONCE);
    if (errno === 0) return 'locked';
    if (errno === EWOULDBLOCK) return 'held';
    if (errno !== EINTR) return 'unknown';
  }
}

async function load(): Promise<Flock> {
  const { default: koffi } = await import('koffi');
  const flock = koffi.load(null).func('int flock(int fd, int operation)');
  return (fd, how) =>
    new Promise((resolve, reject) => {
      flock.async(fd, how, (error: Error | null, result: number) => {
        if (error) reject(error);
        else resolve(result === 0 ? 0 : koffi.errno());
      });
    });
}
