export { imageProvider } from './provider.ts';
