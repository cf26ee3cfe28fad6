import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../../../testbed/free-port.ts';
import type { SshHost } from '../src/index.ts';

const exec = promisify(execFile);

/** A real SSH server of this user, with a home of its own, so that nothing stays behind. */
export interface TestHost {
  folder: string;
  /** Home folder of who logs in. */
  home: string;
  host: SshHost;
  /** Its one public key. */
  hostKey: string;
  /** `SHA256:...` of it. */
  fingerprint: string;
  server: ChildProcess;
  [Symbol.asyncDispose](): Promise<void>;
}

/** @param more lines for sshd_config */
export async function startSshd(more: readonly string[] = []): Promise<TestHost> {
  const folder = await mkdtemp(join(tmpdir(), 'gwag-'));
  const home = join(folder, 'home');
  mkdirSync(home);
  // Where the server confines its unprivileged half; made by the package's service otherwise.
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
  for (const name of ['host', 'client']) {
    await exec('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', join(folder, name)]);
  }
  const port = await freePort();
  await writeFile(
    join(folder, 'config'),
    [
      ...[`Port ${port}`, 'ListenAddress 127.0.0.1', `HostKey ${folder}/host`, 'PidFile none'],
      ...[`AuthorizedKeysFile ${folder}/client.pub`, 'StrictModes no', 'UsePAM no', 'PasswordAuthentication no'],
      ...['KbdInteractiveAuthentication no', 'MaxStartups 100', `SetEnv HOME=${home}`, ...more, ''],
    ].join('\n'),
  );
  const server = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', join(folder, 'config')], { stdio: 'ignore' });
  const [hostKey = ''] = (await readFile(join(folder, 'host.pub'), 'utf8')).trim().split('\n');
  const fingerprint = (await exec('ssh-keygen', ['-lf', join(folder, 'host.pub')])).stdout.split(' ')[1] ?? '';
  return {
    folder,
    home,
    host: {
      host: '127.0.0.1',
      port,
      user: userInfo().username,
      privateKey: await readFile(join(folder, 'client'), 'utf8'),
      hostKeys: [hostKey],
      label: 'minion m1',
      workDir: folder,
    },
    hostKey: hostKey.trim(),
    fingerprint,
    server,
    async [Symbol.asyncDispose]() {
      const ended = new Promise((resolve) => server.once('close', resolve));
      if (server.exitCode === null && server.signalCode === null) {
        server.kill('SIGKILL');
        await ended;
      }
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
