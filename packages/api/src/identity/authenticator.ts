/** Who makes a request, on whose behalf. */
export interface Caller {
  userId: string;
  userName: string;
  /** Null: the token is unscoped and opens nothing but the identity service. */
  projectId: string | null;
  roles: readonly string[];
  expiresAt: Date;
  /** Set from the policy `context_is_admin` when the request is let in: sees and changes what belongs to every project. */
  admin?: boolean;
}

/** Turns tokens into callers: the local identity, or a Keystone. */
export interface Authenticator {
  /** Undefined when the token is unknown, expired or revoked. */
  authenticate(token: string): Promise<Caller | undefined>;
}

/** True for those who see and change what belongs to every project. */
export function isAdmin(caller: Caller): boolean {
  return caller.admin === true;
}
