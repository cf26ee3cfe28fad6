export { libvirtProvider } from './provider.ts';
