import type { LookupAddress, LookupOptions } from 'node:dns';
import { lookup } from 'node:dns';
import { BlockList, isIP } from 'node:net';

/**
 * Where a webhook may point. Private networks and this machine are allowed: that is where receivers are, and who may make
 * webhooks is the policy's matter. Refused is what is never a receiver: addresses of the link itself, among them the
 * metadata services of clouds, which hand out credentials; and addresses that name nobody or many.
 */
const REFUSED = new BlockList();
REFUSED.addSubnet('0.0.0.0', 8, 'ipv4');
REFUSED.addSubnet('169.254.0.0', 16, 'ipv4');
REFUSED.addSubnet('224.0.0.0', 3, 'ipv4');
REFUSED.addSubnet('fe80::', 10, 'ipv6');
REFUSED.addSubnet('ff00::', 8, 'ipv6');
// Metadata outside the link: AWS (fd00:ec2::254 and its kin), Google, Azure's host, Alibaba, Oracle.
REFUSED.addSubnet('fd00:ec2::', 32, 'ipv6');
REFUSED.addSubnet('fd20:ce::', 32, 'ipv6');
REFUSED.addAddress('168.63.129.16', 'ipv4');
REFUSED.addAddress('100.100.100.200', 'ipv4');
REFUSED.addAddress('192.0.0.192', 'ipv4');
// IPv6 that carries IPv4 (compatible, NAT64, 6to4) leads to all of the above; ::1, this machine, lies in the first.
REFUSED.addSubnet('64:ff9b::', 96, 'ipv6');
REFUSED.addSubnet('2002::', 16, 'ipv6');
const COMPATIBLE = new BlockList();
COMPATIBLE.addSubnet('::', 96, 'ipv6');

const LONGEST = 2_000;

function isRefused(address: string): boolean {
  if (isIP(address) !== 6) return REFUSED.check(address, 'ipv4');
  // The list does not know addresses with a zone (fe80::1%eth0): it would let them pass.
  const bare = address.replace(/%.*$/, '');
  return REFUSED.check(bare, 'ipv6') || (COMPATIBLE.check(bare, 'ipv6') && bare !== '::1');
}

/** Why a URL cannot be a webhook's, or undefined. */
export function urlProblem(text: string): string | undefined {
  if (text.length > LONGEST) return `longer than ${LONGEST} characters`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) return 'not a URL';
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'neither http nor https';
  if (url.username !== '' || url.password !== '') return 'with a user or password: check the signature instead';
  if (url.hash !== '') return 'with a fragment, which is never sent';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return isIP(host) !== 0 && isRefused(host) ? `at an address that is no receiver's: ${host}` : undefined;
}

type Found = (error: Error | null, address: string | LookupAddress[], family?: number) => void;

/** Name resolution for the connection itself, so that a name cannot point elsewhere between check and use. */
export function lookupReceiver(host: string, options: LookupOptions, found: Found): void {
  lookup(host, { ...options, all: true }, (error, addresses) => {
    const bad = error === null ? addresses.find(({ address }) => isRefused(address)) : undefined;
    if (bad !== undefined) return found(new Error(`${host} is ${bad.address}, which is no receiver's address`), '');
    if (error !== null) return found(error, '');
    if (options.all === true) return found(null, addresses);
    return found(null, addresses[0]!.address, addresses[0]!.family);
  });
}
