import { conformanceChecks, runConformance } from '@godwit/provider/conformance';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { libvirtProvider } from '../src/index.ts';
import { type Lab, openLab } from './lab.ts';
import { libvirtSubject } from './subject.ts';

const kinds = [
  { title: 'by unix socket, qcow2 replica disks', disk_format: 'qcow2' },
  { title: 'by unix socket, raw replica disks', disk_format: 'raw' },
];

describe.each(kinds)('a host $title', ({ disk_format }) => {
  let lab: Lab;
  const results = new Map<string, { status: string; detail: string }>();

  beforeAll(async () => {
    lab = await openLab();
    const run = runConformance(
      libvirtProvider,
      ({ signal, connectionInfo }) => ({ ...lab.context({}, signal), ...(connectionInfo ? { connectionInfo } : {}) }),
      {
        scratch: true,
        ...(lab.host.networks ? { network: 'lan' } : {}),
        destinationEnvironment: { disk_format, virtualization: 'emulation' },
        subject: libvirtSubject(lab, 'a unix socket has no credentials'),
        cancelSeconds: 10,
      },
    );
    for await (const { name, status, detail } of run) results.set(name, { status, detail });
  }, 300_000);

  afterAll(() => lab?.stop());

  test.each(conformanceChecks())('%s', (name) => {
    const result = results.get(name);
    expect(result?.status, result?.detail).toBe(notApplicable.has(name) ? 'not_applicable' : 'passed');
  });
});

const notApplicable = new Set(['answers wrong credentials with AUTHENTICATION_FAILED']);
