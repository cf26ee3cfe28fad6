import type { JsonObject } from '@godwit/domain';
import { conformanceChecks, runConformance } from '@godwit/provider/conformance';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { libvirtProvider } from '../src/index.ts';
import { type Lab, openLab, sshConnection } from './lab.ts';
import { libvirtSubject } from './subject.ts';

/** Ways to a host; `wrong` is a connection with credentials that the host does not take. */
const kinds = [
  {
    title: 'reached by its unix socket, with qcow2 replica disks',
    disk_format: 'qcow2',
    ssh: false,
    connection: () => Promise.resolve<JsonObject>({}),
    wrong: () => Promise.resolve<JsonObject | string>('a unix socket has no credentials'),
  },
  {
    title: 'reached by its unix socket, with raw replica disks',
    disk_format: 'raw',
    ssh: false,
    connection: () => Promise.resolve<JsonObject>({}),
    wrong: () => Promise.resolve<JsonObject | string>('a unix socket has no credentials'),
  },
  {
    title: 'reached by SSH, with qcow2 replica disks',
    disk_format: 'qcow2',
    ssh: true,
    connection: (lab: Lab) => sshConnection(lab),
    wrong: (lab: Lab) => sshConnection(lab, 'host'),
  },
];

describe.each(kinds)('a host $title', ({ disk_format, ssh, connection, wrong }) => {
  let lab: Lab;
  const results = new Map<string, { status: string; detail: string }>();

  beforeAll(async () => {
    lab = await openLab({ ssh });
    const right = await connection(lab);
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
        subject: libvirtSubject(lab, await wrong(lab)),
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

const needsCredentials = 'answers wrong credentials with AUTHENTICATION_FAILED';
