// Over 400 lines when complete by design: it is one table, and docs/errors.md is rendered from it.

/**
 * How a caller may react.
 *
 * - `invalid`: the request is wrong; sending it again changes nothing
 * - `not_found`: the object does not exist, or not for this project
 * - `conflict`: right in itself, refused in the present state; may be right later
 * - `refused`: forbidden, or refused to protect data
 * - `retryable`: outside trouble that may pass; the engine tries again by itself
 * - `permanent`: outside trouble that needs a person
 * - `corrupt`: data was found wrong; nothing goes on without a decision
 * - `canceled`: somebody asked for it
 */
export type ErrorKind =
  | 'invalid'
  | 'not_found'
  | 'conflict'
  | 'refused'
  | 'retryable'
  | 'permanent'
  | 'corrupt'
  | 'canceled';

export interface ErrorEntry {
  readonly kind: ErrorKind;
  /** HTTP status of an answer that carries it. */
  readonly status: number;
  /** What happened and why; `{object}` and detail names in braces are filled in. One sentence, ends with a full stop. */
  readonly message: string;
  /** What the operator does next. One sentence. */
  readonly remedy: string;
}

const entry = (kind: ErrorKind, status: number, message: string, remedy: string): ErrorEntry => ({
  kind,
  status,
  message,
  remedy,
});

/**
 * Every error an operator can meet. A code is never renamed or given another meaning once released.
 * Add new ones in the group of their noun; `docs/errors.md` is generated from here (`npm run generate`).
 */
export const errorCatalogue = {
  // requests
  INVALID_INPUT: entry('invalid', 400, 'Invalid input received: {reason}', 'Correct the request and send it again.'),
  BAD_REQUEST: entry('invalid', 400, '{reason}', 'Correct the request and send it again.'),
  NOT_FOUND: entry('not_found', 404, '{object} not found.', 'List the objects and check the id or name.'),
  ABSENT: entry('not_found', 404, '{reason}', 'List the objects and check the id or name.'),
  CONFLICT: entry('conflict', 409, '{object}: {reason}', 'Wait for the other operation or change the request.'),
  UNAUTHORIZED: entry(
    'refused',
    401,
    'The request you have made requires authentication.',
    'Get a token with POST /identity/v3/auth/tokens, or check OS_USERNAME and OS_PASSWORD.',
  ),
  FORBIDDEN: entry('refused', 403, '{object}: {reason}', 'Ask an administrator for the role that allows it.'),
  POLICY: entry(
    'refused',
    403,
    "PolicyNotAuthorized: Policy doesn't allow {object} to be performed.",
    'Ask an administrator to do it, or for the admin role.',
  ),
  TOO_LARGE: entry(
    'invalid',
    413,
    'The request is larger than {limit} bytes.',
    'Send less in one request; an environment or a script of this size belongs in a file that the guest fetches.',
  ),
  HEADERS_TOO_LARGE: entry(
    'invalid',
    431,
    'The headers of the request are larger than {limit} bytes.',
    'Send a shorter URL or fewer headers.',
  ),
  TOO_SLOW: entry(
    'retryable',
    408,
    'The head of {object} did not arrive in time.',
    'Send it again; look for what holds it up on the way when it comes back.',
  ),
  TOO_MANY_LOGINS: entry(
    'refused',
    429,
    'Too many failed logins as {object}.',
    'Wait {seconds} seconds, then try again with the right password.',
  ),
  ENDPOINT_IN_USE: entry(
    'refused',
    403,
    '{count} transfers would be orphaned!',
    'Delete the transfers of {object} first, or keep it.',
  ),
  ENDPOINT_HAS_POOLS: entry(
    'refused',
    403,
    '{count} minion pools would be orphaned!',
    'Deallocate and delete the minion pools of {object} first ("godwit minion pool list"), or keep it.',
  ),
  UNKNOWN_PROVIDER: entry(
    'invalid',
    400,
    'Provider {object} is not known here.',
    'Run "godwit provider list" to see the providers of this installation.',
  ),
  UNSUPPORTED: entry('invalid', 400, '{object} does not support {what}.', 'Choose another endpoint or option.'),
  NO_WORKER: entry(
    'retryable',
    503,
    'No running worker can serve {object}.',
    'Start a worker ("godwit server worker") in a region that reaches it; see "godwit service list".',
  ),
  BUSY: entry('retryable', 503, '{object} takes no more at the moment: {reason}', 'Try again in a few seconds.'),
  INTERNAL: entry(
    'permanent',
    500,
    'Unexpected failure in {object}: {reason}',
    'This is a defect of Godwit: keep the log lines with this id and report it.',
  ),
  CANCELED: entry('canceled', 409, '{object} was canceled.', 'Start it again when wanted; finished bytes are kept.'),

  // connections to platforms
  CONNECTION_FAILED: entry(
    'retryable',
    503,
    'Cannot connect to {object}: {reason}',
    'Check from the worker (of Keystone and its key manager: from the API) that the host is up, the address right and the port open; of a folder, that it exists and is mounted there.',
  ),
  AUTHENTICATION_FAILED: entry(
    'permanent',
    400,
    '{object} refused the credentials: {reason}',
    'Correct the connection with "godwit endpoint update"; of Keystone, the application credential in keystone.yaml.',
  ),
  PLATFORM_ERROR: entry('permanent', 502, '{object} reported: {reason}', 'See the reason, mend it there, run again.'),
  MINION_UNUSABLE: entry(
    'retryable',
    503,
    '{object} cannot be used: {reason}',
    'Another machine takes its place by itself; refresh the pool, or see the reason at the platform when it happens again.',
  ),
  QUOTA_EXCEEDED: entry(
    'permanent',
    403,
    'The quota does not allow {object}: {reason}',
    'Remove something there or ask for a larger quota, then run again.',
  ),
  NO_CAPACITY: entry(
    'permanent',
    507,
    'The platform has no room for {object}: {reason}',
    'Free capacity there, or choose a smaller flavor or another availability zone, then run again.',
  ),

  // disks and data
  DISK_SHRANK: entry(
    'permanent',
    409,
    '{object} shrank from {was} to {is} bytes since the last execution.',
    'Delete the replica disks ("godwit transfer disks delete") and execute again for a full copy.',
  ),
  DISK_GREW: entry(
    'permanent',
    409,
    '{object} grew from {was} to {is} bytes and the target cannot follow.',
    'Delete the replica disks ("godwit transfer disks delete") and execute again for a full copy.',
  ),
  TARGET_TOO_SMALL: entry(
    'permanent',
    409,
    '{object} needs {needed} bytes, its target has {available}.',
    'Choose a larger target or let Godwit create it.',
  ),
  TARGET_FULL: entry(
    'permanent',
    507,
    'No space left at the target of {object}.',
    'Free space there and execute again: the copy goes on where it stopped.',
  ),
  SNAPSHOT_LOST: entry(
    'retryable',
    409,
    'The snapshot of {object} vanished during the copy.',
    'Nothing to do: a new snapshot is taken and only what differs is sent. If it returns, find who removes snapshots.',
  ),
  DISK_CORRUPT: entry(
    'corrupt',
    422,
    '{object} cannot be read as {format}: {reason}',
    'Check the file with "qemu-img check" and export it again.',
  ),
  DISK_READ_FAILED: entry('retryable', 502, 'Reading {object} at byte {offset} failed: {reason}', 'Check the source.'),
  DISK_WRITE_FAILED: entry(
    'retryable',
    502,
    'Writing {object} at byte {offset} failed: {reason}',
    'Check the target storage; the copy goes on where it stopped.',
  ),
  DISK_BUSY: entry(
    'retryable',
    503,
    '{object} is still held for writing by another process: {reason}',
    'Nothing to do when it ends soon, it is waited for; else end the process that is named, or its machine.',
  ),
  VERIFY_MISMATCH: entry(
    'corrupt',
    422,
    '{object} differs from its source in {count} block(s), the first at byte {offset}.',
    'Do not use this disk; execute again: the differing blocks are sent anew. Then look for what writes to the target.',
  ),
  TRACKER_LIED: entry(
    'corrupt',
    422,
    'The change tracker of {object} missed a change at byte {offset}.',
    'Nothing to do: the disk was compared in full and healed. Tell the platform vendor.',
  ),
  NBD_PROTOCOL: entry(
    'permanent',
    502,
    '{object} broke the NBD protocol: {reason}',
    'Check that the address leads to an NBD server and that no proxy alters the stream.',
  ),
  FENCED: entry(
    'conflict',
    409,
    '{object} is owned by a newer attempt ({owner}); this one ({attempt}) stops.',
    'Nothing to do: another worker took the work over.',
  ),

  // receipts
  RECEIPT_SUPERSEDED: entry(
    'not_found',
    410,
    'The leaves of {object} are gone: execution {number} has changed the disk since.',
    'Take the leaves of the newest receipt of the disk; this receipt itself stays valid.',
  ),
  RECEIPT_INVALID: entry(
    'corrupt',
    422,
    'Receipt {object} does not hold: {reason}',
    'Fetch it again; if it still fails, the receipt or its key was altered.',
  ),

  // the installation
  TOOL_MISSING: entry('permanent', 500, '{object} needs the program {tool}, which is not installed.', '{install}'),
  CONFIG_INVALID: entry(
    'invalid',
    400,
    '{object} is wrong: {reason}.',
    'Correct it; "godwit server --help" lists all settings.',
  ),
  HOME_IN_USE: entry(
    'conflict',
    409,
    'Another Godwit (pid {pid}) already runs with {object}.',
    'Stop that one, or give this one a home of its own with GODWIT_HOME.',
  ),
  LISTEN_IN_USE: entry(
    'conflict',
    409,
    'Another program already listens on {object}.',
    'Stop that program or set GODWIT_LISTEN=HOST:PORT.',
  ),
  DATABASE_UNAVAILABLE: entry(
    'retryable',
    503,
    'The database does not answer: {reason}',
    'Check DATABASE_URL, and that Postgres runs, has connections left (max_connections) and space on its disk; the log of the embedded one is under GODWIT_HOME/postgres.',
  ),
  DATABASE_VERSION: entry(
    'permanent',
    500,
    'The cluster in {object} is of Postgres {found}, this Godwit brings {needed}.',
    'Export it with the Godwit that made it ("godwit db backup"), then restore into a new GODWIT_HOME.',
  ),
  DATABASE_PORT: entry(
    'permanent',
    500,
    'Port {port} for the embedded Postgres is in use by another program.',
    'Stop that program or set GODWIT_PG_PORT.',
  ),
  DATABASE_DISK_FULL: entry(
    'permanent',
    507,
    'The disk that holds {object} is full; Postgres cannot run.',
    'Free space there and start again: nothing committed is lost.',
  ),
  DATABASE_START: entry(
    'permanent',
    500,
    'The embedded Postgres in {object} did not start: {reason}',
    'See its log there, or set DATABASE_URL to a Postgres 15 or newer.',
  ),
  DATABASE_ROOT: entry(
    'permanent',
    500,
    'The embedded Postgres in {object} refuses to run as root, and user namespaces are forbidden here.',
    'Run Godwit as an ordinary user, allow user namespaces, or set DATABASE_URL to a Postgres 15 or newer.',
  ),
  AUDIT_FULL: entry(
    'retryable',
    503,
    '{object} was refused: it could not be recorded, for {waiting} records of the audit wait for the database.',
    'Bring the database back; requests are served again as soon as the records are written.',
  ),
  DATABASE_NOT_EMPTY: entry(
    'refused',
    409,
    'The database is not empty: a backup would replace what is in it.',
    'Take a backup of it first, then restore with --force, or restore into a new database.',
  ),
  DATABASE_IN_USE: entry(
    'conflict',
    409,
    'The database is in use by {programs}.',
    'Stop the API and all workers, on every machine, then restore.',
  ),
  DATABASE_NEWER: entry(
    'permanent',
    500,
    '{object} was written by a newer Godwit: this one does not know its migration {migration}.',
    'Use the Godwit that wrote it, or a newer one.',
  ),
  DATABASE_HALF_RESTORED: entry(
    'permanent',
    500,
    'The restore of a backup into this database did not come to its end.',
    'Run "godwit db restore FILE --force" again.',
  ),
  DATABASE_RESTORED: entry(
    'permanent',
    409,
    'The database was set back to a backup of {taken_at}, when this was under way; what became of it is not known.',
    'Look at the platform for what it may have left, then run it again.',
  ),
  BACKUP_FILE: entry(
    'corrupt',
    422,
    'The backup {object} cannot be used: {reason}.',
    'Take another one; nothing was changed.',
  ),
  BACKUP_WRITE: entry(
    'permanent',
    507,
    'The backup {object} could not be written: {reason}.',
    'Make room there or name a file in a folder that this user may write, and take it again; nothing was left behind.',
  ),
  SECRET_KEY_MISSING: entry(
    'permanent',
    500,
    'The key {object} that encrypted this secret is not in the key file.',
    'Restore GODWIT_HOME/keys from the backup; a second machine needs a copy of the keys of the first.',
  ),
  SECRET_KEY_FILE: entry(
    'permanent',
    500,
    'The key file {object} cannot be used: {reason}',
    'A new installation gets it by "godwit db migrate"; else restore it from the backup of GODWIT_HOME/keys, or copy it from the first machine.',
  ),
  SECRET_CORRUPT: entry(
    'corrupt',
    500,
    'The {object} was altered or belongs to another row; it does not open.',
    'Set it again (for an endpoint: "godwit endpoint update ID --connection ..."), then find who wrote to the database.',
  ),
} as const satisfies Record<string, ErrorEntry>;

/** A key of the catalogue. */
export type ErrorCode = keyof typeof errorCatalogue;
