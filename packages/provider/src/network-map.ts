/**
 * Where the network map sends a NIC: by the id of its network, which names one alone, else by the network's name; undefined:
 * it does not say.
 */
export function mappedNetwork(
  nic: { network_name: string; network_id?: string | null },
  map: Readonly<Record<string, string>>,
): string | undefined {
  // A network may be called like what every object has: `constructor`.
  const named = (key: string | null | undefined) => (key && Object.hasOwn(map, key) ? map[key] : undefined);
  return named(nic.network_id) ?? named(nic.network_name);
}
