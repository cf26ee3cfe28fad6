import { describe, expect, test } from 'vitest';
import { mappedNetwork, mappedStorage, storagesNamed } from '../src/index.ts';

describe('storage mappings', () => {
  const all = {
    default: 'any',
    backend_mappings: [{ source: 'san', destination: 'ssd' }],
    disk_mappings: [{ disk_id: 'vda', destination: 'fast' }],
  };
  const vda = { id: 'vda', storage_backend_identifier: 'san' };

  test('a disk’s own wins over its backend’s, that over the default', () => {
    expect(mappedStorage(vda, all)).toBe('fast');
    expect(mappedStorage({ ...vda, id: 'vdb' }, all)).toBe('ssd');
    expect(mappedStorage({ id: 'vdb', storage_backend_identifier: 'nas' }, all)).toBe('any');
    expect(mappedStorage({ id: 'vdb' }, all)).toBe('any');
    expect(mappedStorage({ id: 'vdb', storage_backend_identifier: null }, all)).toBe('any');
  });

  test('leave to the environment what they do not name', () => {
    expect(mappedStorage(vda, {})).toBeUndefined();
    expect(mappedStorage(vda, { default: null })).toBeUndefined();
    expect(mappedStorage({ id: 'vdb' }, { disk_mappings: all.disk_mappings })).toBeUndefined();
  });

  test('name every storage that must be there, once', () => {
    expect(storagesNamed({ ...all, default: 'ssd' })).toEqual(['ssd', 'fast']);
  });
});

describe('a network map', () => {
  const nic = { network_name: 'lan', network_id: '7f' };

  test('is asked for the network’s id before its name', () => {
    expect(mappedNetwork(nic, { lan: 'a', '7f': 'b' })).toBe('b');
    expect(mappedNetwork(nic, { lan: 'a' })).toBe('a');
    expect(mappedNetwork({ network_name: 'lan' }, { lan: 'a' })).toBe('a');
    expect(mappedNetwork({ network_name: 'lan', network_id: null }, { other: 'a' })).toBeUndefined();
  });

  test.each(['constructor', 'toString', '__proto__', ''])(
    'says nothing of a network "%s" that it does not name',
    (name) => {
      expect(mappedNetwork({ network_name: name, network_id: name }, { lan: 'a' })).toBeUndefined();
    },
  );
});
