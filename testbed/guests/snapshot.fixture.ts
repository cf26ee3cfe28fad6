// A worker of its own process, for tests that kill it: takes a snapshot of an instance.
import { MemoryLedger } from '@godwit/provider/conformance';
import { libvirtProvider } from '@godwit/provider-libvirt';

const { connectionInfo, workDir, request } = JSON.parse(process.argv[2]!);
await libvirtProvider.source!.snapshot(
  {
    endpoint: 'endpoint lab',
    connectionInfo,
    signal: new AbortController().signal,
    ledger: new MemoryLedger(),
    workDir,
    progress: () => undefined,
  },
  request,
);
