import type { ProviderLoaders } from '@godwit/engine';

/** The providers of this installation; each is loaded when an endpoint of its kind is used. */
export const providerLoaders: ProviderLoaders = {
  image: async () => (await import('@godwit/provider-image')).imageProvider,
  libvirt: async () => (await import('@godwit/provider-libvirt')).libvirtProvider,
  openstack: async () => (await import('@godwit/provider-openstack')).openstackProvider,
};
