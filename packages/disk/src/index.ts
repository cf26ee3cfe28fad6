export * from './disk.ts';
export * from './disk-address.ts';
