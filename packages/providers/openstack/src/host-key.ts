/** Longest metadata value that every cloud takes. */
const MAX_VALUE = 255;

/**
 * Run by cloud-init, or by whatever runs user data that begins with `#!`: says the host keys on the console, where only
 * who may read the machine's console log sees them. Makes them first where a small SSH server would only do so later.
 */
export const hostKeyScript = `#!/bin/sh
say() { sed -n 's/^\\(ssh-[a-z0-9-]* [A-Za-z0-9+/=]*\\).*/godwit-host-key \\1/p' >/dev/console; }
if command -v dropbearkey >/dev/null 2>&1; then
  for type in ed25519; do
    file=/etc/dropbear/dropbear_\${type}_host_key
    [ -e "$file" ] || dropbearkey -t "$type" -f "$file" >/dev/null 2>&1
    dropbearkey -y -f "$file" 2>/dev/null | say
  done
fi
for file in /etc/ssh/ssh_host_*_key.pub; do
  [ -e "$file" ] && say <"$file"
done
exit 0
`;

/**
 * Host keys in a console log: those our script says, and those cloud-init says by itself between its markers. Each as
 * `ssh-ed25519 AAAA...`; those said last, after a reboot or a rebuild, replace earlier ones of their type.
 */
export function hostKeysIn(console: string): string[] {
  const keys = new Map<string, string>();
  let inBlock = false;
  for (const raw of console.split(/\r?\n/)) {
    // Kernel messages may stand before what a program says.
    const line = raw.trim();
    if (line.includes('-----BEGIN SSH HOST KEY KEYS-----')) inBlock = true;
    else if (line.includes('-----END SSH HOST KEY KEYS-----')) inBlock = false;
    const said = /godwit-host-key (ssh-[a-z0-9-]+) ([A-Za-z0-9+/]+={0,2})(\s|$)/.exec(line);
    const found =
      said ?? (inBlock ? /(?:^|\s)(ssh-[a-z0-9-]+|ecdsa-sha2-\S+) ([A-Za-z0-9+/]+={0,2})(\s|$)/.exec(line) : null);
    const [, type, blob] = found ?? [];
    if (type !== undefined && blob !== undefined && isBlobOf(type, blob)) keys.set(type, `${type} ${blob}`);
  }
  return [...keys.values()];
}

/** A line that the console cut in half is no key: the blob names its type and has its length. */
function isBlobOf(type: string, blob: string): boolean {
  const bytes = Buffer.from(blob, 'base64');
  if (bytes.length < 4 || bytes.readUInt32BE(0) !== type.length) return false;
  if (bytes.subarray(4, 4 + type.length).toString() !== type) return false;
  let at = 0;
  while (at + 4 <= bytes.length) at += 4 + bytes.readUInt32BE(at);
  return at === bytes.length;
}

/** The keys that fit into one value of metadata, Ed25519 before others; '' when none does. */
export function packHostKeys(keys: readonly string[]): string {
  const sorted = [...keys].sort((a, b) => Number(b.startsWith('ssh-ed25519')) - Number(a.startsWith('ssh-ed25519')));
  const packed: string[] = [];
  for (const key of sorted) if ([...packed, key].join(',').length <= MAX_VALUE) packed.push(key);
  return packed.join(',');
}

export function unpackHostKeys(value: string | undefined): string[] {
  return (value ?? '').split(',').filter((key) => key !== '');
}
