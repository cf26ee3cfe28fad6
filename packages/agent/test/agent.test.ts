import { spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { appendFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FileCheckpointStore, openDisk, runCopyJob } from '@godwit/disk';
import { GodwitError } from '@godwit/domain';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Agent, type AgentRequest, pushAgent } from '../src/index.ts';
import { startSshd, type TestHost } from './sshd.ts';

const MIB = 1_048_576;
const signal = new AbortController().signal;
let host: TestHost;

beforeAll(async () => {
  host = await startSshd();
});

const pushed: Agent[] = [];
/** An agent that ends with its test. */
async function push(path: string, more: Partial<AgentRequest> = {}): Promise<Agent> {
  const agent = await pushAgent(request(path, more));
  pushed.push(agent);
  return agent;
}

afterEach(async () => {
  for (const agent of pushed.splice(0)) await agent.close();
});

afterAll(async () => {
  await host[Symbol.asyncDispose]();
});

let files = 0;
function makeFile(bytes: Buffer | number): string {
  const path = join(host.folder, `disk${files++}`);
  writeFileSync(path, typeof bytes === 'number' ? '' : bytes);
  if (typeof bytes === 'number') truncateSync(path, bytes);
  return path;
}

/** A request for one file as `vda`. */
function request(path: string, more: Partial<AgentRequest> = {}): AgentRequest {
  return {
    ...host.host,
    devices: { vda: { path, readOnly: false } },
    allowFiles: true,
    signal,
    waitMs: 30_000,
    ...more,
  };
}

async function failure(promise: Promise<unknown>): Promise<GodwitError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof GodwitError)) throw new Error(`no GodwitError but ${String(error)}`);
  return error;
}

/** Processes of this host's agents. */
function agents(): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`${host.home}/.godwit-agent`);
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** Waits until the condition holds; the test's own time limit ends it otherwise. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(20);
}

describe('an agent pushed over SSH', () => {
  it('serves what it was given, and leaves nothing that runs', async () => {
    const content = randomBytes(3 * MIB);
    const path = makeFile(content);
    const agent = await push(path);
    expect(agent.sizes).toEqual({ vda: content.length });
    const disk = await openDisk(agent.addresses.vda!);
    const read = Buffer.alloc(content.length);
    await disk.read(0, read);
    expect(read.equals(content)).toBe(true);
    await disk.write(MIB, Buffer.alloc(MIB, 7));
    await disk.flush();
    await disk.close();
    expect((await readFile(path)).subarray(MIB, 2 * MIB).equals(Buffer.alloc(MIB, 7))).toBe(true);
    const { socket, tokenFile } = agent.addresses.vda!;
    expect(statSync(tokenFile).mode & 0o777).toBe(0o600);
    await agent.close();
    await until(() => agents().length === 0);
    expect([existsSync(socket), existsSync(tokenFile)]).toEqual([false, false]);
  });

  it('has its devices plugged in when the host lets it in, and not when the host is silent', async () => {
    const path = join(host.folder, 'plugged');
    let plugs = 0;
    const plug = async () => {
      plugs++;
      writeFileSync(path, Buffer.alloc(MIB, 1));
    };
    const silent = await failure(pushAgent(request(path, { plug, port: 9, waitMs: 0 })));
    expect([silent.code, plugs]).toEqual(['CONNECTION_FAILED', 0]);
    const agent = await push(path, { plug });
    expect([agent.sizes.vda, plugs]).toEqual([MIB, 1]);
    const refusal = new GodwitError('QUOTA_EXCEEDED', 'volume', { reason: 'no more' });
    expect(await failure(pushAgent(request(path, { plug: () => Promise.reject(refusal) })))).toBe(refusal);
  });

  it('is sent once', async () => {
    const path = makeFile(MIB);
    await (await push(path)).close();
    const folder = join(host.home, '.godwit-agent');
    const before = readdirSync(folder).map((name) => statSync(join(folder, name)).ino);
    await (await push(path)).close();
    expect(readdirSync(folder).map((name) => statSync(join(folder, name)).ino)).toEqual(before);
    expect(before).toHaveLength(1);
  });

  it('keeps secrets out of what other users can see', async () => {
    const path = makeFile(MIB);
    const agent = await push(path);
    const token = readFileSync(agent.addresses.vda!.tokenFile, 'utf8').trim();
    for (const pid of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
      for (const name of ['cmdline', 'environ']) {
        const file = `/proc/${pid}/${name}`;
        const text = await readFile(file, 'utf8').catch(() => '');
        expect(text.includes(token), file).toBe(false);
      }
    }
    expect(JSON.stringify(agent.addresses)).not.toContain(token);
  });

  it('accepts a host by its fingerprint, or at first contact, and tells its key', async () => {
    const path = makeFile(MIB);
    const byFingerprint = await push(path, { hostKeys: ['SHA256:other', host.fingerprint] });
    expect(byFingerprint.hostKeys).toEqual([host.hostKey]);
    await byFingerprint.close();
    const first = await push(path, { hostKeys: [] });
    expect(first.hostKeys).toContain(host.hostKey);
  });

  it('refuses a host with another key, known whole or by fingerprint', async () => {
    const path = makeFile(MIB);
    const other = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0000000000000000000000000000000000000000000';
    expect((await failure(pushAgent(request(path, { hostKeys: [other] })))).code).toBe('CONFLICT');
    expect((await failure(pushAgent(request(path, { hostKeys: ['SHA256:other'] })))).code).toBe('CONFLICT');
  });

  it('takes keys in PKCS #8, and says when the host refuses one', async () => {
    const path = makeFile(MIB);
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }) as string;
    const refused = pushAgent(request(path, { privateKey: pem, waitMs: 0 }));
    expect((await failure(refused)).code).toBe('AUTHENTICATION_FAILED');
    const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
    const blob = Buffer.concat([Buffer.from('\0\0\0\u000bssh-ed25519\0\0\0\u0020', 'latin1'), raw]);
    await appendFile(join(host.folder, 'client.pub'), `ssh-ed25519 ${blob.toString('base64')}\n`);
    expect((await push(path, { privateKey: pem })).sizes).toEqual({ vda: MIB });
  });

  it('waits for a host that learns the key only after it answers', async () => {
    const path = makeFile(MIB);
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }) as string;
    const pushing = push(path, { privateKey: pem });
    await sleep(1_500);
    const { n = '', e = '' } = publicKey.export({ format: 'jwk' });
    const numbers = [Buffer.from(e, 'base64url'), Buffer.concat([Buffer.from([0]), Buffer.from(n, 'base64url')])];
    const fields = [Buffer.from('ssh-rsa'), ...numbers].flatMap((bytes) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length, 0);
      return [length, bytes];
    });
    await appendFile(join(host.folder, 'client.pub'), `ssh-rsa ${Buffer.concat(fields).toString('base64')}\n`);
    expect((await pushing).sizes).toEqual({ vda: MIB });
  });

  it('says when nobody answers', async () => {
    const path = makeFile(MIB);
    expect((await failure(pushAgent(request(path, { port: 1, waitMs: 0 })))).code).toBe('CONNECTION_FAILED');
  });
});

describe('an agent refuses', () => {
  it('files, unless they are allowed, and all that is neither file nor block device', async () => {
    const path = makeFile(MIB);
    const link = join(host.folder, 'link');
    symlinkSync('/dev/null', link);
    for (const wrong of [path, link, '/dev/null', host.folder]) {
      const allowFiles = wrong !== path;
      expect((await failure(pushAgent(request(wrong, { allowFiles })))).code, wrong).toBe('FORBIDDEN');
    }
  });

  it('devices that do not exist, by path and by serial number', async () => {
    const more = { deviceWaitMs: 300 };
    expect((await failure(pushAgent(request('/dev/nothing-here', more)))).code).toBe('NOT_FOUND');
    const devices = { vda: { serial: 'no-such-serial-00000', readOnly: true } };
    expect((await failure(pushAgent(request('', { ...more, devices })))).code).toBe('NOT_FOUND');
  });

  it('to write what is given twice', async () => {
    const path = makeFile(MIB);
    const devices = { vda: { path, readOnly: false }, vdb: { path, readOnly: false } };
    expect((await failure(pushAgent(request(path, { devices })))).code).toBe('CONFLICT');
  });
});

describe('when something dies', () => {
  it('a newer agent shuts a former writer out before it serves', async () => {
    const path = makeFile(4 * MIB);
    const former = await push(path);
    const zombie = await openDisk(former.addresses.vda!);
    await zombie.write(0, Buffer.alloc(MIB, 1));
    const newer = await push(path);
    await former.ended;
    const disk = await openDisk(newer.addresses.vda!);
    await disk.write(0, Buffer.alloc(MIB, 2));
    expect((await failure(zombie.write(0, Buffer.alloc(MIB, 1)))).code).toBe('CONNECTION_FAILED');
    await disk.close();
    await zombie.close();
    expect((await readFile(path)).subarray(0, MIB).equals(Buffer.alloc(MIB, 2))).toBe(true);
  });

  it('readers do not shut each other out', async () => {
    const devices = { vda: { path: makeFile(MIB), readOnly: true } };
    const [one, two] = [await push('', { devices }), await push('', { devices })];
    for (const agent of [one, two]) {
      const disk = await openDisk(agent.addresses.vda!);
      await disk.read(0, Buffer.alloc(4_096));
      await disk.close();
    }
  });

  it('a copy goes on from its checkpoint after its agent was killed, and the disks are equal', async () => {
    const source = makeFile(randomBytes(24 * MIB));
    const target = makeFile(24 * MIB);
    const path = join(host.folder, 'store-agent');
    let kills = 0;
    for (let fence = 1; ; fence++) {
      const agent = await push(target);
      const store = await FileCheckpointStore.open(path, fence);
      const commit = store.commit.bind(store);
      let commits = 0;
      store.commit = async (progress, groups) => {
        await commit(progress, groups);
        if (++commits === 2 && kills < 3) {
          kills++;
          for (const pid of agents()) process.kill(pid, 'SIGKILL');
        }
      };
      const plan = { mode: 'compare', audit: 'none', verify: 'whole', executionNumber: 1, snapshotKey: 's1' } as const;
      const result = await runCopyJob(
        {
          source: { kind: 'file', path: source, readOnly: true },
          target: agent.addresses.vda!,
          plan: { ...plan, targetZeroed: false },
          limits: { window: { bytes: 4_194_304 } },
        },
        { store, signal },
      ).catch((error: GodwitError) => error);
      await store.close();
      await agent.close();
      if (!(result instanceof Error)) break;
      expect(result.code).toBe('CONNECTION_FAILED');
    }
    expect(kills).toBe(3);
    expect((await readFile(target)).equals(await readFile(source))).toBe(true);
  });

  it('the agent ends with its worker, and the next worker goes on', async () => {
    const source = makeFile(randomBytes(24 * MIB));
    const target = makeFile(24 * MIB);
    const path = join(host.folder, 'store-worker');
    const file = join(import.meta.dirname, 'agent-child.ts');
    let kills = 0;
    for (let fence = 1, done = false; !done; fence++) {
      const args = [file, JSON.stringify(request(target)), source, path, String(fence)];
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
      let said = '';
      let problem = '';
      child.stderr.on('data', (chunk: Buffer) => {
        problem += chunk.toString('utf8');
      });
      child.stdout.on('data', (chunk: Buffer) => {
        said += chunk.toString('utf8');
        if (said.split('commit').length > 2 && kills < 2) child.kill('SIGKILL');
      });
      await new Promise((resolve) => child.once('close', resolve));
      done = said.includes('done');
      if (child.signalCode === 'SIGKILL') kills++;
      else if (!done) throw new Error(problem);
      await until(() => agents().length === 0);
    }
    expect(kills).toBe(2);
    expect((await readFile(target)).equals(await readFile(source))).toBe(true);
  });

  it('a frozen minion is noticed', async () => {
    const agent = await push(makeFile(MIB));
    const disk = await openDisk(agent.addresses.vda!, { stallTimeoutMs: 1_000 });
    await disk.hashLeaves?.(0, MIB);
    for (const pid of agents()) process.kill(pid, 'SIGSTOP');
    const lost = [disk.read(0, Buffer.alloc(4_096)), disk.hashLeaves!(0, MIB)].map(failure);
    for (const error of await Promise.all(lost)) expect(error.code).toBe('CONNECTION_FAILED');
    for (const pid of agents()) process.kill(pid, 'SIGCONT');
    await disk.close();
  });
});
