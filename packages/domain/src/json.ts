/** Any JSON value. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
/** A JSON object: what environments, connection infos and handles are made of. */
export type JsonObject = { [key: string]: Json };
