export * from './checkpoint-store.ts';
export * from './disk.ts';
export * from './disk-address.ts';
export { openFileDisk } from './file-disk.ts';
export * from './image-format.ts';
export * from './leaf-table.ts';
export { type NbdOptions, openNbd } from './nbd-disk.ts';
export * from './open-disk.ts';
export * from './qemu-nbd.ts';
