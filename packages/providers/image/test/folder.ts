import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Json } from '@godwit/domain';
import type { Ledger, ProviderContext } from '@godwit/provider';
import { MemoryLedger } from '@godwit/provider/conformance';

const run = promisify(execFile);

/** A temporary endpoint folder and the contexts to work in it. */
export class Folder implements AsyncDisposable {
  readonly path: string;
  readonly workDir: string;
  readonly messages: string[] = [];
  readonly ledger: Ledger = new MemoryLedger();

  constructor(path: string, workDir: string) {
    this.path = path;
    this.workDir = workDir;
  }

  static async make(): Promise<Folder> {
    const parent = await mkdtemp(join(tmpdir(), 'gwi-'));
    await run('mkdir', [join(parent, 'vms'), join(parent, 'work')]);
    return new Folder(join(parent, 'vms'), join(parent, 'work'));
  }

  at(...parts: string[]): string {
    return join(this.path, ...parts);
  }

  context(overrides: { signal?: AbortSignal; connectionInfo?: { [key: string]: Json } } = {}): ProviderContext {
    return {
      endpoint: 'endpoint folder',
      connectionInfo: overrides.connectionInfo ?? { path: this.path },
      signal: overrides.signal ?? new AbortController().signal,
      ledger: this.ledger,
      workDir: this.workDir,
      progress: (message) => this.messages.push(message),
    };
  }

  /** A raw disk of `size` bytes with `bytes` at `offset`. */
  async raw(name: string, size: number, offset = 0, bytes: Uint8Array = new Uint8Array()): Promise<string> {
    const path = this.at(name);
    const file = await open(path, 'w');
    try {
      await file.truncate(size);
      if (bytes.length > 0) await file.write(bytes, 0, bytes.length, offset);
    } finally {
      await file.close();
    }
    return path;
  }

  /** The same disk in another format, by qemu-img. */
  async convert(from: string, to: string, format: string, options?: string): Promise<string> {
    await run('qemu-img', [
      'convert',
      '-f',
      'raw',
      '-O',
      format,
      ...(options ? ['-o', options] : []),
      from,
      this.at(to),
    ]);
    return this.at(to);
  }

  /** An archive of files of this folder, in the given order. */
  async ova(name: string, members: string[]): Promise<string> {
    await run('tar', ['--format=ustar', '-C', this.path, '-cf', this.at(name), ...members]);
    return this.at(name);
  }

  async write(name: string, text: string): Promise<void> {
    await writeFile(this.at(name), text);
  }

  async sha256(name: string): Promise<string> {
    return createHash('sha256')
      .update(await readFile(this.at(name)))
      .digest('hex');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(join(this.path, '..'), { recursive: true, force: true });
  }
}

/** An OVF of one VM, as VMware writes it. */
export function ovf(
  name: string,
  disks: { id: string; href?: string; capacity: number; compression?: string; chunkSize?: number; format?: string }[],
): string {
  const files = disks
    .filter(({ href }) => href !== undefined)
    .map(({ id, href, compression, chunkSize }) => {
      const extra =
        (compression ? ` ovf:compression="${compression}"` : '') + (chunkSize ? ` ovf:chunkSize="${chunkSize}"` : '');
      return `<File ovf:id="file-${id}" ovf:href="${href}"${extra}/>`;
    });
  const section = disks.map(({ id, href, capacity, format }) => {
    const ref = href === undefined ? '' : ` ovf:fileRef="file-${id}"`;
    const uri = format ?? 'http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized';
    return `<Disk ovf:diskId="${id}"${ref} ovf:capacity="${capacity}" ovf:format="${uri}"/>`;
  });
  const items = disks.map(
    (
      { id },
      index,
    ) => `<Item><rasd:AddressOnParent>${index}</rasd:AddressOnParent><rasd:ElementName>Disk ${index}</rasd:ElementName>
      <rasd:HostResource>ovf:/disk/${id}</rasd:HostResource><rasd:InstanceID>${10 + index}</rasd:InstanceID>
      <rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>`,
  );
  return `<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vmw="http://www.vmware.com/schema/ovf">
  <References>${files.join('')}</References>
  <DiskSection><Info>Disks</Info>${section.join('')}</DiskSection>
  <NetworkSection><Info>Networks</Info><Network ovf:name="VM Network"/></NetworkSection>
  <VirtualSystem ovf:id="vm">
    <Info>A VM</Info><Name>${name}</Name>
    <OperatingSystemSection ovf:id="94" vmw:osType="ubuntu64Guest"><Info>OS</Info><Description>Ubuntu Linux (64-bit)</Description></OperatingSystemSection>
    <VirtualHardwareSection><Info>Hardware</Info>
      <Item><rasd:AllocationUnits>hertz * 10^6</rasd:AllocationUnits><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>2</rasd:VirtualQuantity></Item>
      <Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>2048</rasd:VirtualQuantity></Item>
      <Item><rasd:Address>0</rasd:Address><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceSubType>lsilogic</rasd:ResourceSubType><rasd:ResourceType>6</rasd:ResourceType></Item>
      ${items.join('\n      ')}
      <Item><rasd:Address>00:50:56:AA:bb:01</rasd:Address><rasd:AddressOnParent>7</rasd:AddressOnParent><rasd:Connection>VM Network</rasd:Connection><rasd:InstanceID>30</rasd:InstanceID><rasd:ResourceSubType>VmxNet3</rasd:ResourceSubType><rasd:ResourceType>10</rasd:ResourceType></Item>
      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
`;
}
