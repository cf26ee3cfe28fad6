import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import { GodwitError, type JsonObject } from '@godwit/domain';
import { checkInput, type TargetDisk } from '@godwit/provider';
import { Type } from 'typebox';
import { imageError } from './checkpoint.ts';
import type { Host } from './connection.ts';
import type { DiskFormat } from './environment.ts';
import { checkKey, PREFIX } from './mark.ts';

/**
 * A replica disk is one file, `godwit-KEY-DISK.FORMAT`, that keeps its path for life. Beside it may lie, all with the
 * path as the beginning of their names:
 *
 * - `.layer-K`: what the disk was when clone K was made. It never changes while the clone lives: replication goes on in a
 *   new file at the disk's path, whose backing file the layer is. (A clone over the disk's own file would hold garbage as
 *   soon as replication writes there.)
 * - `.clone-K`: the disk of a test instance, over layer K.
 * - `.snap-K`: the copy that a snapshot of a raw disk is. qcow2 disks have snapshots within.
 * - `.drop-K`: snapshot K is wanted no more, but lies in a layer that a clone still uses.
 * - `.lock`: held by whoever changes which file is what.
 */
export interface Replica {
  id: string;
  path: string;
  format: DiskFormat;
  key: string;
  /** For errors: `replica disk vda`. */
  object: string;
}

const handleSchema = Type.Object({
  path: Type.String({ pattern: '^/' }),
  format: Type.Union([Type.Literal('qcow2'), Type.Literal('raw')]),
  key: Type.String(),
});

export function replicaHandle(path: string, format: DiskFormat, key: string): JsonObject {
  return { path, format, key };
}

/**
 * File name of a replica disk, without folder.
 *
 * @param generation 2 and more: the earlier ones were handed over to instances
 */
export function replicaName(key: string, disk: string, format: DiskFormat, generation = 1): string {
  const readable = disk.replace(/[^A-Za-z0-9]+/g, '_').slice(0, 40);
  // Two ids that look the same so must not share a file.
  const plain = readable === disk ? disk : `${readable}-${createHash('sha256').update(disk).digest('hex').slice(0, 8)}`;
  return `${PREFIX}${checkKey(key)}-${plain}${generation === 1 ? '' : `-${generation}`}.${format}`;
}

/**
 * The replica disk that a handle names.
 *
 * @throws GodwitError FORBIDDEN when the name does not carry our mark: the file is not ours
 */
export function replicaOf(id: string, handle: JsonObject): Replica {
  const { path, format, key } = checkInput(handleSchema, handle, `handle of disk ${id}`);
  const name = posix.basename(path);
  const marked = name.startsWith(`${PREFIX}${checkKey(key)}-`) && /^[A-Za-z0-9_-]+\.(qcow2|raw)$/.test(name);
  if (!marked || posix.normalize(path) !== path) {
    throw new GodwitError('FORBIDDEN', `disk ${id}`, { reason: `Godwit did not make ${path}` });
  }
  return { id, path, format, key, object: `replica disk ${id}` };
}

export function replicaOfDisk(disk: TargetDisk): Replica {
  return replicaOf(disk.id, disk.handle);
}

export const clonePath = (replica: Replica, key: string) => `${replica.path}.clone-${checkKey(key)}`;

/** Exit codes of the scripts below. */
const LOCKED = 3;
const MISSING = 4;
const PINNED = 5;

const prelude = `
set -eu
head=$1 format=$2 key=$3
locked() { exit ${LOCKED}; }
exec 9>"$head.lock"
flock -w 30 9 || locked
# Reads the header under QEMU's lock: fails while a writer has the file open.
free() { qemu-img info -f "$format" -- "$1" >/dev/null 2>&1; }
backing() { qemu-img info -U -f qcow2 --output=json -- "$1" | sed -n 's/^    "backing-filename": "\\(.*\\)",*$/\\1/p'; }
has() { qemu-img snapshot -U -l -- "$1" 2>/dev/null | awk -v t="godwit-$2" '$2 == t { f = 1 } END { exit !f }'; }
# The file of the chain that holds snapshot $key.
holder() {
  at=$head
  while :; do
    if has "$at" "$key"; then echo "$at"; return; fi
    below=$(backing "$at")
    [ -n "$below" ] || return 1
    at=\${head%/*}/$below
  done
}
# One moment of a raw file: blocks shared at once, or copied under QEMU's lock, which keeps writers out meanwhile.
copy() { cp --reflink=always -- "$1" "$2" 2>/dev/null || qemu-img convert -q -t writeback -f raw -O raw -- "$1" "$2"; }
pinned() { [ -e "$head.clone-\${1##*.layer-}" ]; }
`;

/** Freezes the disk as it is and puts a clone over it. Every step can be repeated. */
const cloneScript = `${prelude}
[ -e "$head" ] || exit ${MISSING}
clone=$head.clone-$key
[ -e "$clone" ] && exit 0
if [ "$format" = raw ]; then
  free "$head" || locked
  rm -f "$clone.new"
  copy "$head" "$clone.new" || { rm -f "$clone.new"; free "$head" || locked; exit 1; }
  mv -fT "$clone.new" "$clone"
  exit 0
fi
layer=$head.layer-$key new=$head.new-$key size=$4
if ! [ -e "$layer" ] || [ "$layer" -ef "$head" ]; then
  free "$head" || locked
  rm -f "$new"
  qemu-img create -q -u -f qcow2 -b "\${layer##*/}" -F qcow2 "$new" "$size"
  [ -e "$layer" ] || ln "$head" "$layer"
  mv -fT "$new" "$head"
  # A writer that opened the old file before it moved would write to the layer: take it all back.
  free "$layer" || { mv -fT "$layer" "$head"; locked; }
fi
rm -f "$clone.new"
qemu-img create -q -f qcow2 -b "$layer" -F qcow2 "$clone.new"
mv -fT "$clone.new" "$clone"
sync -f "$head"
`;

/** Merges layers that no clone uses any more back into one file. Interrupted, it is simply done again. */
const collapseScript = `${prelude}
[ -e "$head" ] || exit 0
if [ "$format" = qcow2 ]; then
  while :; do
    below=$(backing "$head")
    case $below in "\${head##*/}".layer-*) ;; *) break ;; esac
    layer=\${head%/*}/$below
    if pinned "$layer"; then break; fi
    # The disk's own snapshots would be lost with its file.
    [ -z "$(qemu-img snapshot -U -l -- "$head")" ] || break
    qemu-img commit -q -d -f qcow2 -- "$head" 2>/dev/null || locked
    mv -fT "$layer" "$head"
  done
  for mark in "$head".drop-*; do
    [ -e "$mark" ] || continue
    key=\${mark##*.drop-}
    at=$(holder) || { rm -f "$mark"; continue; }
    case $at in *.layer-*) pinned "$at" && continue ;; esac
    qemu-img snapshot -q -d "godwit-$key" -- "$at" 2>/dev/null && rm -f "$mark"
  done
fi
exit 0
`;

const snapshotScript = `${prelude}
[ -e "$head" ] || exit ${MISSING}
if [ "$format" = raw ]; then
  snap=$head.snap-$key
  [ -e "$snap" ] && exit 0
  free "$head" || locked
  rm -f "$snap.new"
  copy "$head" "$snap.new" || { rm -f "$snap.new"; free "$head" || locked; exit 1; }
  mv -fT "$snap.new" "$snap"
else
  holder >/dev/null && exit 0
  free "$head" || locked
  qemu-img snapshot -q -c "godwit-$key" -- "$head"
fi
sync -f "$head"
`;

const restoreScript = `${prelude}
[ -e "$head" ] || exit ${MISSING}
free "$head" || locked
if [ "$format" = raw ]; then
  [ -e "$head.snap-$key" ] || exit ${MISSING}
  rm -f "$head.new-$key"
  copy "$head.snap-$key" "$head.new-$key"
  mv -fT "$head.new-$key" "$head"
else
  at=$(holder) || exit ${MISSING}
  while [ "$at" != "$head" ]; do
    layer=\${head%/*}/$(backing "$head")
    pinned "$layer" && exit ${PINNED}
    # All that was written above the layer came after the snapshot.
    mv -fT "$layer" "$head"
    at=$(holder) || exit ${MISSING}
  done
  qemu-img snapshot -q -a "godwit-$key" -- "$head"
fi
sync -f "$head"
`;

const deleteSnapshotScript = `${prelude}
rm -f "$head.snap-$key"
[ -e "$head" ] && [ "$format" = qcow2 ] || exit 0
at=$(holder) || exit 0
case $at in *.layer-*) if pinned "$at"; then : >"$head.drop-$key"; exit 0; fi ;; esac
qemu-img snapshot -q -d "godwit-$key" -- "$at" 2>/dev/null || { free "$at" && exit 1; locked; }
`;

/** What a script of a replica disk came to. */
type Outcome = 'done' | 'locked' | 'missing' | 'pinned';

/** A disk may hold gigabytes that no file system can share: an hour. */
const LONG_MS = 3_600_000;

async function runScript(host: Host, replica: Replica, script: string, key: string, size = 0): Promise<Outcome> {
  const args = ['-c', script, 'sh', replica.path, replica.format, checkKey(key), String(size)];
  const result = await host.files.run('sh', args, replica.object, { timeoutMs: LONG_MS });
  if (result.code === 0) return 'done';
  if (result.code === LOCKED) return 'locked';
  if (result.code === MISSING) return 'missing';
  if (result.code === PINNED) return 'pinned';
  throw imageError(result.stderr, replica.object);
}

function refuse(outcome: Outcome, replica: Replica): void {
  if (outcome === 'done') return;
  if (outcome === 'missing') throw new GodwitError('NOT_FOUND', `${replica.object} (${replica.path})`);
  throw new GodwitError('CONFLICT', replica.object, {
    reason: outcome === 'locked' ? 'another process has its file open' : 'a test instance still uses it',
  });
}

/** Makes the clone of that key: a disk of its own that equals the replica disk of now, whatever replication does next. */
export async function cloneReplica(host: Host, replica: Replica, key: string, size: number): Promise<string> {
  refuse(await runScript(host, replica, cloneScript, key, size), replica);
  return clonePath(replica, key);
}

/** Removes a clone and merges what it kept apart. Gone already is success. */
export async function dropClone(host: Host, replica: Replica, key: string): Promise<void> {
  const name = posix.basename(clonePath(replica, key));
  await host.files.remove(posix.dirname(replica.path), [name, `${name}.new`]);
  await collapse(host, replica);
}

/** Merges layers without clones; when the disk is in use, that is left for the next time. */
export async function collapse(host: Host, replica: Replica): Promise<void> {
  const beside = await host.files.list(posix.dirname(replica.path), `${posix.basename(replica.path)}.`);
  if (!beside.some((name) => name.includes('.layer-') || name.includes('.drop-'))) return;
  await runScript(host, replica, collapseScript, 'collapse');
}

export async function takeReplicaSnapshot(host: Host, replica: Replica, key: string): Promise<void> {
  refuse(await runScript(host, replica, snapshotScript, key), replica);
}

export async function restoreReplicaSnapshot(host: Host, replica: Replica, key: string): Promise<void> {
  refuse(await runScript(host, replica, restoreScript, key), replica);
}

/** @returns false when a running instance holds the disk: it has to be asked to delete its snapshot */
export async function deleteReplicaSnapshot(host: Host, replica: Replica, key: string): Promise<boolean> {
  if (!(await exists(host, replica))) {
    const name = posix.basename(replica.path);
    await host.files.remove(posix.dirname(replica.path), [`${name}.snap-${checkKey(key)}`]);
    return true;
  }
  const outcome = await runScript(host, replica, deleteSnapshotScript, key);
  if (outcome !== 'done' && outcome !== 'locked') refuse(outcome, replica);
  return outcome === 'done';
}

export async function exists(host: Host, replica: Replica): Promise<boolean> {
  return (await host.files.run('test', ['-e', replica.path], replica.object)).code === 0;
}

/** Removes the file and everything beside it that is only for it. */
export async function removeReplica(host: Host, replica: Replica): Promise<void> {
  const folder = posix.dirname(replica.path);
  const name = posix.basename(replica.path);
  const found = (await host.files.list(folder, name)).filter((file) => file === name || file.startsWith(`${name}.`));
  if (found.some((file) => file.includes('.clone-'))) {
    throw new GodwitError('CONFLICT', replica.object, {
      reason: 'a test instance still uses it; delete that deployment',
    });
  }
  await host.files.remove(folder, found);
}
