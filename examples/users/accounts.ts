// The accounts in SQLite: names, scrypt hashes of passwords, sessions.
//
// Several instances may share one file: WAL lets readers and one writer work side by side, and a busy database is
// waited for. Passwords are hashed with scrypt and a salt each; of a session only the hash of its token is kept, so
// who reads the file can log in as nobody.

import { createHash, randomBytes, randomUUID, scrypt, timingSafeEqual } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { promisify } from "node:util";

/** scrypt with N = 2^14, r = 8, p = 5: one of OWASP's equivalent minimums, 16 MiB a hash. */
const SCRYPT = { N: 2 ** 14, r: 8, p: 5, maxmem: 64 * 2 ** 20 };
const KEY_BYTES = 32;
const SALT_BYTES = 16;
/** How long a writer waits for another instance's transaction. */
const BUSY_TIMEOUT_MS = 5000;
const SQLITE_CONSTRAINT = 19;

const derive = promisify<string, Uint8Array, number, typeof SCRYPT, Buffer>(scrypt);

export interface Account {
  readonly id: string;
  readonly name: string;
  readonly created: string;
}

/** What the server asks of its storage. */
export interface Accounts {
  /** The new account; undefined when the name is taken. */
  createAccount(name: string, password: string): Promise<Account | undefined>;
  /** A session token; undefined when name or password are wrong. */
  createSession(name: string, password: string): Promise<string | undefined>;
  isSession(token: string): boolean;
  readAccount(name: string): Account | undefined;
  close(): void;
}

/** Opens (and creates) the database; `:memory:` for one that ends with the process. */
export function openAccounts(file: string): Accounts {
  const database = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS });
  database.exec(`
    PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS accounts (
      name TEXT PRIMARY KEY, id TEXT NOT NULL, created TEXT NOT NULL, salt BLOB NOT NULL, hash BLOB NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS sessions (hash BLOB PRIMARY KEY, name TEXT NOT NULL REFERENCES accounts) STRICT;
  `);
  const insert = database.prepare("INSERT INTO accounts (name, id, created, salt, hash) VALUES (?, ?, ?, ?, ?)");
  const find = database.prepare("SELECT id, name, created, salt, hash FROM accounts WHERE name = ?");
  const insertSession = database.prepare("INSERT INTO sessions (hash, name) VALUES (?, ?)");
  const findSession = database.prepare("SELECT name FROM sessions WHERE hash = ?");
  const digest = (token: string) => createHash("sha256").update(token).digest();

  return {
    async createAccount(name, password) {
      const account = { id: randomUUID(), name, created: new Date().toISOString() };
      const salt = randomBytes(SALT_BYTES);
      const hash = await derive(password, salt, KEY_BYTES, SCRYPT);
      try {
        insert.run(name, account.id, account.created, salt, hash);
      } catch (error) {
        // Extended result codes keep the primary code in their low byte.
        if (((error as { errcode?: number }).errcode ?? 0) % 256 === SQLITE_CONSTRAINT) return undefined;
        throw error;
      }
      return account;
    },
    async createSession(name, password) {
      const row = find.get(name);
      // An unknown name costs as much as a wrong password, so the time does not tell which names exist.
      const salt = (row?.salt as Uint8Array | undefined) ?? randomBytes(SALT_BYTES);
      const hash = await derive(password, salt, KEY_BYTES, SCRYPT);
      if (row === undefined || !timingSafeEqual(hash, row.hash as Uint8Array)) return undefined;
      const token = randomBytes(KEY_BYTES).toString("base64url");
      insertSession.run(digest(token), name);
      return token;
    },
    isSession: (token) => findSession.get(digest(token)) !== undefined,
    readAccount(name) {
      const row = find.get(name);
      return row === undefined ? undefined : { id: `${row.id}`, name: `${row.name}`, created: `${row.created}` };
    },
    close: () => database.close(),
  };
}
