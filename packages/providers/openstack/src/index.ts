export { openstackProvider } from './provider.ts';
