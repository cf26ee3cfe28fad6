import { getSystemErrorMap } from 'node:util';
import type { Extent } from './disk.ts';

/** What Node lacks to know the holes of a file and to make them. */
export interface FileHoles {
  /** What an open file holds; answers of the kernel, page cache included. Lets the event loop have its turn in between. */
  extents(fd: number, offset: number, length: number): Promise<Extent[]>;
  /**
   * Takes the space of a range away, so that it reads as zeroes; the file keeps its size. Resolves with false where the
   * file system cannot.
   *
   * @throws NodeJS.ErrnoException
   */
  punch(fd: number, offset: number, length: number): Promise<boolean>;
}

// lseek(2), fallocate(2), errno(3) of Linux; the numbers are the same on all of its 64-bit processors.
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const PUNCH_HOLE_AND_KEEP_SIZE = 3;
const EINTR = 4;
const ENXIO = 6;
const CANNOT = new Set([22, 38, 95]);
/** Longest turn of the event loop that asking for extents takes, ms. */
const TURN_MS = 4;

let loaded: Promise<FileHoles | null> | null = null;

/** The kernel's way, null where there is none (another system than Linux, no binary of koffi for this processor). */
export function fileHoles(): Promise<FileHoles | null> {
  loaded ??= process.platform === 'linux' ? load().catch(() => null) : Promise.resolve(null);
  return loaded;
}

async function load(): Promise<FileHoles> {
  const { default: koffi } = await import('koffi');
  const libc = koffi.load(null);
  const lseek: (fd: number, offset: number, whence: number) => number = libc.func(
    'int64_t lseek(int fd, int64_t offset, int whence)',
  );
  const fallocate = libc.func('int fallocate(int fd, int mode, int64_t offset, int64_t length)');

  const allocate = (fd: number, offset: number, length: number) =>
    new Promise<number>((resolve, reject) => {
      fallocate.async(fd, PUNCH_HOLE_AND_KEEP_SIZE, offset, length, (error: Error | null, result: number) => {
        if (error) reject(error);
        else resolve(result === 0 ? 0 : koffi.errno());
      });
    });

  return {
    async extents(fd, offset, length) {
      const found: Extent[] = [];
      const end = offset + length;
      const push = (from: number, to: number, kind: Extent['kind']) => {
        const until = Math.min(to, end);
        if (until > from) found.push({ offset: from, length: until - from, kind });
      };
      let turn = performance.now();
      for (let at = offset; at < end; ) {
        const data = lseek(fd, at, SEEK_DATA);
        if (data < 0 && koffi.errno() === ENXIO) {
          push(at, end, 'hole');
          break;
        }
        // Whatever else the kernel cannot tell must be read.
        const hole = data < at ? -1 : lseek(fd, data, SEEK_HOLE);
        if (hole <= data) {
          push(at, end, 'data');
          break;
        }
        push(at, data, 'hole');
        push(Math.max(at, data), hole, 'data');
        at = hole;
        if (performance.now() - turn > TURN_MS) {
          await new Promise<void>((resolve) => setImmediate(resolve));
          turn = performance.now();
        }
      }
      return found;
    },
    async punch(fd, offset, length) {
      for (;;) {
        const errno = await allocate(fd, offset, length);
        if (errno === 0) return true;
        if (CANNOT.has(errno)) return false;
        if (errno !== EINTR) throw errnoException(errno);
      }
    },
  };
}

function errnoException(errno: number): NodeJS.ErrnoException {
  const [code, text] = getSystemErrorMap().get(-errno) ?? [`E${errno}`, `error ${errno}`];
  return Object.assign(new Error(`${code}: ${text}, fallocate`), { code, errno: -errno, syscall: 'fallocate' });
}
