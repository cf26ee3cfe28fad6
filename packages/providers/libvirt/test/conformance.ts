import type { JsonObject } from '@godwit/domain';
import { conformanceChecks, runConformance } from '@godwit/provider/conformance';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { libvirtProvider } from '../src/index.ts';
import { type Lab, openLab, sshConnection } from './lab.ts';
import { libvirtSubject } from './subject.ts';

const needsCredentials = 'answers wrong credentials with AUTHENTICATION_FAILED';

/**
 * The conformance suite against one kind of host. Each kind is a test file of its own, so that they run side by side.
 *
 * @param kind.disk_format of the replica disks
 * @param kind.ssh reached by SSH; else by its unix socket, which has no credentials that could be wrong
 */
export function testConformance({ disk_format, ssh }: { disk_format: 'qcow2' | 'raw'; ssh: boolean }): void {
  describe(`a host reached by ${ssh ? 'SSH' : 'its unix socket'}, with ${disk_format} replica disks`, () => {
    let lab: Lab;
    const results = new Map<string, { status: string; detail: string }>();

    beforeAll(async () => {
      lab = await openLab({ ssh });
      const right: JsonObject = ssh ? await sshConnection(lab) : {};
      const wrong = ssh ? await sshConnection(lab, 'host') : 'a unix socket has no credentials';
      const run = runConformance(
        libvirtProvider,
        ({ signal, connectionInfo }) => ({
          ...lab.context(right, signal),
          ...(connectionInfo ? { connectionInfo } : {}),
        }),
        {
          scratch: true,
          network: 'lan',
          sourceEnvironment: { socket_folder: lab.host.dir },
          destinationEnvironment: { disk_format, virtualization: 'emulation' },
          subject: libvirtSubject(lab, wrong),
          cancelSeconds: 10,
        },
      );
      for await (const { name, status, detail } of run) results.set(name, { status, detail });
    }, 600_000);

    afterAll(() => lab?.stop());

    test.each(conformanceChecks())('%s', (name) => {
      const result = results.get(name);
      const expected = !ssh && name === needsCredentials ? 'not_applicable' : 'passed';
      expect(result?.status, result?.detail).toBe(expected);
    });
  });
}
