/**
 * Nothing to do yet: what serves the target disks ends with the copy, and leftovers of a crash are the reaper's. It stands
 * in the graph because minions will be given back here, and because clients expect it.
 */
export default async function deleteTransferTargetResources() {
  return {};
}
