import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type Disk, type NbdAddress, openDisk, openNbd, seededRandom } from '../src/index.ts';
import { expectContent } from './disk-model.ts';
import { nbdkit, scratch } from './nbdkit.ts';

const MiB = 1_048_576;

async function connectionsSeen(log: string): Promise<number> {
  return (await readFile(log, 'utf8')).split('\n').filter((line) => / Connect /.test(line)).length;
}

async function readMany(disk: Disk, atOnce: number): Promise<void> {
  for (let round = 0; round < 5; round++) {
    await Promise.all(Array.from({ length: atOnce }, () => disk.read(0, new Uint8Array(512))));
  }
}

/** A port that leads to a unix socket; bytes from there come later. */
async function longRoad(socket: string, delayMs: number): Promise<{ port: number; close(): Promise<void> }> {
  const ends = new Set<Socket>();
  const road = createServer((near) => {
    const far = connect(socket);
    near.pipe(far);
    far.on('data', (bytes) => setTimeout(() => near.write(bytes), delayMs));
    for (const end of [near, far]) {
      ends.add(end);
      end.on('error', () => end.destroy());
      end.on('close', () => setTimeout(() => [near, far].map((other) => other.destroy()), delayMs));
    }
  });
  await once(road.listen(0, '127.0.0.1'), 'listening');
  const { port } = road.address() as AddressInfo;
  const close = async () => {
    for (const end of ends) end.destroy();
    await new Promise((resolve) => road.close(resolve));
  };
  return { port, close };
}

/** Opens the disk as soon as its server is up again. */
async function reopened(address: NbdAddress): Promise<Disk> {
  for (;;) {
    try {
      return await openDisk(address);
    } catch (error) {
      expect(error).toMatchObject({ code: 'CONNECTION_FAILED' });
      await sleep(10);
    }
  }
}

describe('connections', () => {
  it('are opened as requests pile up, as many as asked for, when the server allows several', async () => {
    for (const [atOnce, expected] of [
      [8, 1],
      [64, 3],
    ] as const) {
      await using folder = await scratch();
      const log = `${folder.path}/log`;
      await using server = await nbdkit(folder.path, [
        '--filter=log',
        '--filter=delay',
        'memory',
        '1M',
        `logfile=${log}`,
        'rdelay=20ms',
      ]);
      const disk = await openDisk({ ...server.address, connections: 3 });
      await readMany(disk, atOnce);
      await disk.close();
      expect(await connectionsSeen(log)).toBe(expected);
    }
  });

  it('are all opened with the first requests when another machine is far away', async () => {
    await using folder = await scratch();
    const log = `${folder.path}/log`;
    const args = ['--filter=log', '--filter=delay', 'memory', '1M', `logfile=${log}`, 'rdelay=20ms'];
    await using server = await nbdkit(folder.path, args);
    const road = await longRoad(`${folder.path}/k`, 20);
    try {
      const transport = { host: '127.0.0.1', port: road.port };
      const disk = await openDisk({ ...server.address, transport, connections: 4 });
      // Not the 20 to the full: a timer counts whole milliseconds and may come up to one of them early.
      expect(disk.roundTripMs).toBeGreaterThan(10);
      await readMany(disk, 3);
      await disk.close();
      expect(await connectionsSeen(log)).toBe(4);
    } finally {
      await road.close();
    }
  });

  it('stay at one when the server does not vouch for several, for its flush would not cover them', async () => {
    await using folder = await scratch();
    const log = `${folder.path}/log`;
    await using server = await nbdkit(folder.path, [
      '--filter=log',
      '--filter=delay',
      '--filter=multi-conn',
      'memory',
      '1M',
      `logfile=${log}`,
      'rdelay=20ms',
      'multi-conn-mode=disable',
    ]);
    const disk = await openDisk({ ...server.address, connections: 4 });
    await readMany(disk, 64);
    await disk.close();
    expect(await connectionsSeen(log)).toBe(1);
  });
});

describe('a server that is killed again and again', () => {
  it('loses nothing that a flush vouched for, and every read is right', async () => {
    await using folder = await scratch();
    const file = `${folder.path}/disk`;
    const size = 4 * MiB;
    await writeFile(file, Buffer.alloc(size));
    const start = () => nbdkit(folder.path, ['--filter=delay', 'file', file, 'wdelay=1ms', 'rdelay=1ms']);
    let server = await start();
    let killing = true;
    const random = seededRandom(2_024);
    let flushes = 0;
    let ended = false;
    const killer = (async () => {
      for (let n = 0; n < 8; n++) {
        const before = flushes;
        await sleep(40 + random() * 120);
        // However slow the machine: no request is to lose more connections than a disk puts up with.
        while (flushes === before && !ended) await sleep(5);
        await server.kill();
        await sleep(random() * 60);
        server = await start();
      }
      killing = false;
    })();
    const model = Buffer.alloc(size);
    let disk = await openDisk(server.address);
    try {
      for (let round = 1; killing || round < 4; round++) {
        const offset = Math.floor(random() * 32) * 65_536;
        const bytes = Buffer.alloc(8 * 65_536, round);
        for (;;) {
          try {
            const parts = Array.from({ length: 8 }, (_, n) => n * 65_536);
            await Promise.all(parts.map((at) => disk.write(offset + at, bytes.subarray(at, at + 65_536))));
            await disk.flush();
            flushes++;
            break;
          } catch (error) {
            expect(error).toMatchObject({ code: 'CONNECTION_FAILED' });
            await disk.close();
            disk = await reopened(server.address);
          }
        }
        bytes.copy(model, offset);
        const seen = Buffer.alloc(8 * 65_536);
        await disk.read(offset, seen);
        expect(seen.equals(bytes)).toBe(true);
      }
    } finally {
      ended = true;
      await killer;
    }
    expect(flushes).toBeGreaterThan(0);
    await expectContent(disk, model);
    await disk.close();
    await server.kill();
  });

  it('is called again by every disk that it served', async () => {
    await using folder = await scratch();
    const file = `${folder.path}/disk`;
    await writeFile(file, Buffer.alloc(MiB, 7));
    let server = await nbdkit(folder.path, ['file', file]);
    const disks = await Promise.all(
      Array.from({ length: 20 }, () => openNbd({ ...server.address, readOnly: true }, { reconnectForMs: 20_000 })),
    );
    await server.kill();
    const reads = disks.map(async (disk) => {
      const into = Buffer.alloc(4_096);
      await disk.read(0, into);
      return into[0];
    });
    server = await nbdkit(folder.path, ['file', file]);
    expect(await Promise.all(reads)).toEqual(Array.from({ length: 20 }, () => 7));
    await Promise.all(disks.map((disk) => disk.close()));
    await server.kill();
  });
});
