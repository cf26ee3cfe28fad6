import { createPrivateKey, createPublicKey, hkdfSync } from 'node:crypto';
import { GodwitError, type InstanceInfo } from '@godwit/domain';
import { MemoryLedger } from '@godwit/provider/conformance';
import { describe, expect, test } from 'vitest';
import type { Flavor } from '../src/client/compute.ts';
import type { Credentials } from '../src/client/identity.ts';
import { entryOf } from '../src/clouds-yaml.ts';
import { credentialsOf } from '../src/connection.ts';
import { hostKeyScript, hostKeysIn, packHostKeys, unpackHostKeys } from '../src/host-key.ts';
import { guestProperties } from '../src/machine.ts';
import { isMarked, marksOf } from '../src/mark.ts';
import { minionKey } from '../src/minion-key.ts';
import { bestFlavor } from '../src/placement.ts';
import { whatToDrop } from '../src/ports.ts';
import { diskName, replicaOf } from '../src/replica.ts';
import { gibOf } from '../src/target.ts';
import { subnetsOf } from '../src/test-network.ts';

const context = (connectionInfo: Record<string, string | boolean>) => ({
  endpoint: 'endpoint lab',
  connectionInfo,
  signal: new AbortController().signal,
  ledger: new MemoryLedger(),
  workDir: '/nowhere',
  progress: () => undefined,
});

describe('connections', () => {
  const password = { auth_url: 'http://k/v3', username: 'u', password: 'w', project_name: 'p' };

  test('fields of Coriolis are understood', () => {
    const info = {
      ...password,
      identity_api_version: '3',
      user_domain_name: 'd',
      project_domain_name: 'e',
      allow_untrusted: true,
    };
    expect(credentialsOf(context(info))).toEqual({
      authUrl: 'http://k/v3',
      auth: {
        kind: 'password',
        user: { name: 'u', domain: { name: 'd' } },
        password: 'w',
        project: { name: 'p', domain: { name: 'e' } },
      },
      region: null,
      interface: 'public',
      caFile: null,
      insecure: true,
    });
  });

  test('an application credential by id needs nothing else', () => {
    const info = { auth_url: 'http://k', application_credential_id: 'i', application_credential_secret: 's' };
    expect(credentialsOf(context(info)).auth).toEqual({ kind: 'application_credential', id: 'i', secret: 's' });
  });

  test('an entry of clouds.yaml is taken, and overridden', () => {
    const yaml = `
clouds:
  a:
    auth: {auth_url: http://a/v3, username: u, password: w, project_name: p, user_domain_name: Default}
    region_name: one
    interface: internal
    cacert: /ca.pem
    verify: false
    volume_api_version: 3
`;
    const seen = credentialsOf(context({ cloud: 'a', clouds_yaml: yaml, region_name: 'two' }));
    expect(seen).toMatchObject({ region: 'two', interface: 'internal', caFile: '/ca.pem', insecure: true });
    expect(() => entryOf(yaml, 'b')).toThrow(/no cloud "b"; it has a/);
    expect(() => entryOf('{', 'b')).toThrow(GodwitError);
  });

  test.each([
    [{}, 'auth_url'],
    [{ ...password, auth_url: 'file:///etc/passwd' }, 'http'],
    [{ auth_url: 'http://k', username: 'u', project_name: 'p' }, 'password'],
    [{ auth_url: 'http://k', username: 'u', password: 'w' }, 'project_name'],
    [{ auth_url: 'http://k', application_credential_id: 'i' }, 'application_credential_secret'],
    [{ auth_url: 'http://k', application_credential_name: 'n', application_credential_secret: 's' }, 'username'],
    [{ cloud: 'a' }, 'clouds_yaml'],
  ])('%j is refused and says what is missing', (info, expected) => {
    expect(() => credentialsOf(context(info as Record<string, string>))).toThrow(expected);
  });
});

describe('keys of minions', () => {
  const credentials = (secret: string): Credentials => ({
    authUrl: 'http://k',
    auth: { kind: 'application_credential', id: 'i', secret },
    region: null,
    interface: 'public',
    caFile: null,
    insecure: false,
  });

  test('are the same for the same endpoint and name, and no others', () => {
    const key = minionKey(credentials('s'), 'godwit-m-a');
    expect(minionKey(credentials('s'), 'godwit-m-a')).toEqual(key);
    expect(minionKey(credentials('s'), 'godwit-m-b').publicKey).not.toBe(key.publicKey);
    expect(minionKey(credentials('t'), 'godwit-m-a').publicKey).not.toBe(key.publicKey);
  });

  test('do not tell a guessed secret at the price of a hash', () => {
    const { publicKey } = minionKey(credentials('s'), 'godwit-m-a');
    const cheap = hkdfSync('sha256', 's', 'godwit minion key 2', 'http://k\ngodwit-m-a', 32);
    const prefix = Buffer.from('302e020100300506032b657004220420', 'hex');
    const guess = createPrivateKey({ key: Buffer.concat([prefix, Buffer.from(cheap)]), format: 'der', type: 'pkcs8' });
    const { x } = createPublicKey(guess).export({ format: 'jwk' });
    const bytes = Buffer.from(publicKey.split(' ')[1] ?? '', 'base64');
    expect(bytes.subarray(-32).toString('base64url')).not.toBe(x);
    const password: Credentials = {
      ...credentials(''),
      auth: { kind: 'password', user: { id: 'u' }, password: 's', project: { id: 'p' } },
    };
    expect(minionKey(password, 'godwit-m-a').publicKey).toBe(publicKey);
  });

  test('the public half belongs to the private one', () => {
    const { publicKey, privateKey } = minionKey(credentials('s'), 'godwit-m-a');
    const [type, blob] = publicKey.split(' ');
    const bytes = Buffer.from(blob ?? '', 'base64');
    expect(type).toBe('ssh-ed25519');
    const { x } = createPublicKey(privateKey).export({ format: 'jwk' });
    expect(bytes.subarray(-32).toString('base64url')).toBe(x);
  });
});

describe('host keys on the console', () => {
  const blob = minionKey(
    {
      authUrl: '',
      auth: { kind: 'application_credential', id: '', secret: 's' },
      region: null,
      interface: 'public',
      caFile: null,
      insecure: false,
    },
    'x',
  ).publicKey.split(' ')[1];

  test('are found where our script or cloud-init said them', () => {
    const ours = `[    3.1] eth0: up\r\ngodwit-host-key ssh-ed25519 ${blob}\r\nlogin:`;
    expect(hostKeysIn(ours)).toEqual([`ssh-ed25519 ${blob}`]);
    const cloudInit = `-----BEGIN SSH HOST KEY KEYS-----\nssh-ed25519 ${blob} root@m\n-----END SSH HOST KEY KEYS-----`;
    expect(hostKeysIn(cloudInit)).toEqual([`ssh-ed25519 ${blob}`]);
  });

  test('a line that was cut off, or that anybody printed elsewhere, is none', () => {
    expect(hostKeysIn(`godwit-host-key ssh-ed25519 ${blob?.slice(0, 40)}`)).toEqual([]);
    expect(hostKeysIn(`ssh-ed25519 ${blob} root@m`)).toEqual([]);
    expect(hostKeysIn(`godwit-host-key ssh-rsa ${blob}`)).toEqual([]);
  });

  test('are kept in one value of metadata', () => {
    const keys = [`ssh-rsa ${'A'.repeat(400)}`, `ssh-ed25519 ${blob}`];
    expect(unpackHostKeys(packHostKeys(keys))).toEqual([keys[1]]);
    expect(unpackHostKeys(undefined)).toEqual([]);
  });

  test('the script is one that user data runs', () => {
    expect(hostKeyScript.startsWith('#!/bin/sh\n')).toBe(true);
  });
});

describe('names and marks', () => {
  test('a replica is known by its key; a file that is not ours is refused', () => {
    const handle = { kind: 'volume', volume: 'v', key: 'k-1', transfer: 't', environment: {} };
    expect(replicaOf('vda', handle)).toMatchObject({ kind: 'volume', volume: 'v' });
    const staged = { kind: 'file', path: `/s/${diskName('k-1', 'vda')}.raw`, key: 'k-1' };
    expect(replicaOf('vda', staged)).toMatchObject({ kind: 'file' });
    expect(() => replicaOf('vda', { ...staged, path: '/etc/passwd' })).toThrow(GodwitError);
    expect(() => replicaOf('vda', { ...staged, key: '../x' })).toThrow(GodwitError);
  });

  test('marks tell keys and roles apart', () => {
    const marks = marksOf('k-1', 'replica');
    expect(isMarked(marks, 'k-1')).toBe(true);
    expect(isMarked(marks, 'k-1', 'clone')).toBe(false);
    expect(isMarked(marks, 'k-2')).toBe(false);
    expect(isMarked(null, 'k-1')).toBe(false);
  });

  test('volumes are of whole GiB', () => {
    expect([1, 1_073_741_824, 1_073_741_825].map(gibOf)).toEqual([1, 1, 2]);
  });
});

describe('flavors', () => {
  const flavor = (name: string, vcpus: number, ram: number, disk = 0, ephemeral = 0): Flavor => ({
    id: `id-${name}`,
    name,
    vcpus,
    ram,
    disk,
    'OS-FLV-EXT-DATA:ephemeral': ephemeral,
  });
  const flavors = [
    flavor('big', 4, 4096),
    flavor('same', 1, 512, 20),
    flavor('other', 1, 512, 10),
    flavor('eph', 1, 256, 0, 5),
  ];

  test.each([
    ['the one of the same name and size', { vcpus: 1, ram: 512, name: 'same' }, 'same'],
    ['else of the same size with the smallest disk', { vcpus: 1, ram: 512, name: 'x' }, 'other'],
    ['else the smallest that is large enough', { vcpus: 2, ram: 512, name: 'same' }, 'big'],
    ['never one with an ephemeral disk unless it is the same', { vcpus: 1, ram: 256, name: 'x' }, 'other'],
    ['unless it is the same', { vcpus: 1, ram: 256, name: 'eph' }, 'eph'],
  ])('%s', (_, need, expected) => {
    expect(bestFlavor(flavors, need)?.name).toBe(expected);
  });

  test('none is said to be none', () => {
    expect(bestFlavor(flavors, { vcpus: 64, ram: 1, name: null })).toBeNull();
  });
});

describe('addresses of ports', () => {
  const wish = { mac: 'fa:16:3e:00:00:01', ips: ['10.0.0.5'] };
  const refused = (code: 'CONFLICT' | 'FORBIDDEN' | 'PLATFORM_ERROR' | 'BUSY', reason: string) =>
    new GodwitError(code, 'port a', { reason });

  test.each([
    ['CONFLICT', 'Unable to complete operation for network x. The mac address fa:16:3e:00:00:01 is in use.', 'mac'],
    ['CONFLICT', 'IP address 10.0.0.5 already allocated in subnet y.', 'ips'],
    ['PLATFORM_ERROR', 'IP address 10.0.0.5 is not a valid IP for any of the subnets on the specified network.', 'ips'],
    ['FORBIDDEN', 'rule:create_port:mac_address is disallowed by policy', 'mac'],
    ['FORBIDDEN', 'rule:create_port is disallowed by policy', 'mac'],
    ['BUSY', 'mac address in use', null],
    ['CONFLICT', 'the network is gone', null],
  ] as const)('%s "%s" costs %s', (code, reason, expected) => {
    expect(whatToDrop(refused(code, reason), wish, {})).toBe(expected);
  });

  test('with nothing left to give up, the refusal stands', () => {
    const error = refused('CONFLICT', 'IP address 10.0.0.5 already allocated');
    expect(whatToDrop(error, { mac: null, ips: [] }, {})).toBeNull();
  });

  test('a test network has the ranges of the source, or those around the addresses', () => {
    const nic = { id: 'n', network_name: 'lan', mac_address: null, ip_addresses: ['10.1.2.3', '2001:db8:1:2::5'] };
    expect(subnetsOf(nic, null).map(({ cidr }) => cidr)).toEqual(['10.1.2.0/24', '2001:db8:1:2::/64']);
  });
});

describe('properties of the guest', () => {
  const instance: InstanceInfo = {
    id: 'i',
    name: 'web',
    num_cpu: 1,
    memory_mb: 128,
    os_type: 'windows',
    firmware_type: 'EFI',
    running: false,
    secure_boot: true,
    nested_virtualization: false,
    dynamic_memory_enabled: false,
    hostname: null,
    machine_type: 'pc-q35-7.2',
    boot_order: [],
    devices: {
      disks: [{ id: 'vda', size_bytes: 1, format: 'raw', bus: 'scsi' }],
      nics: [{ id: 'n', network_name: 'lan', mac_address: null, model: 'e1000' }],
      cdroms: [],
      serial_ports: [],
      floppies: [],
      controllers: [],
    },
  };

  test('say what the guest expects of its hardware', () => {
    expect(guestProperties(instance, {})).toEqual({
      hw_firmware_type: 'uefi',
      os_secure_boot: 'required',
      os_type: 'windows',
      hw_disk_bus: 'scsi',
      hw_scsi_model: 'virtio-scsi',
      hw_vif_model: 'e1000',
      hw_machine_type: 'q35',
    });
  });

  test('the environment has the last word', () => {
    expect(guestProperties(instance, { disk_bus: 'sata', nic_model: 'virtio' })).toMatchObject({
      hw_disk_bus: 'sata',
      hw_vif_model: 'virtio',
    });
  });
});
