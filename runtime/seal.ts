import { createCipheriv, createDecipheriv, createHmac, createSecretKey, type KeyObject, randomBytes } from 'node:crypto';

/**
 * Sealing: what is stored where others may read it is encrypted with a key that only our processes have mounted (AES-256-GCM, NIST SP 800-38D, random 96-bit nonces:
 * good for 2^32 writes under one key). A sealed value is `KWS1`, the id of its key (8 bytes), the nonce (12), the ciphertext, the tag (16).
 */

/** Where a value stands. It is authenticated with the value, so that a sealed one cannot be moved to another place. */
export interface SealPlace {
  readonly type: string;
  readonly namespace: string;
  readonly name: string;
  readonly entry: string;
}

export type Opened =
  | { readonly ok: true; readonly bytes: Uint8Array }
  /** locked: another key, or the permission to read unsealed values, would open it; damaged: nothing will */
  | { readonly ok: false; readonly reason: 'locked' | 'damaged'; readonly message: string };

/** By what a value is sealed: `plain`, or the id of a key in hexadecimal. */
export type SealName = string;

export interface SealKeys {
  /** what new values are sealed with */
  readonly current: SealName;
  /** whether there is any key: without one nothing sealed is written or read */
  readonly hasKeys: boolean;
  seal(bytes: Uint8Array, place: SealPlace): Uint8Array;
  open(bytes: Uint8Array, place: SealPlace): Opened;
}

interface SealKey {
  readonly id: SealName;
  readonly key: KeyObject;
}

export const plainSeal = 'plain';
const magic = Buffer.from('KWS1');
const idBytes = 8;
const nonceBytes = 12;
const tagBytes = 16;
const headerBytes = magic.length + idBytes + nonceBytes;
const keyBytes = 32;
const mostKeys = 16;
const algorithm = 'aes-256-gcm';
const setting = 'KEYWRIGHT_SEAL_KEY_FILE';

/** By what these bytes are sealed. Nothing that we write unsealed begins like a sealed value: gzip begins with 1f 8b, JSON with a brace. */
export function sealOf(bytes: Uint8Array): SealName {
  const isSealed = bytes.length >= magic.length && magic.equals(bytes.subarray(0, magic.length));
  return isSealed ? Buffer.from(bytes.subarray(magic.length, magic.length + idBytes)).toString('hex') : plainSeal;
}

/** No sealing: what is written is plain, and what is sealed stays locked. */
export const noSealKeys: SealKeys = {
  current: plainSeal,
  hasKeys: false,
  seal: (bytes) => bytes,
  open(bytes) {
    const seal = sealOf(bytes);
    if (seal === plainSeal) return { ok: true, bytes };
    return { ok: false, reason: 'locked', message: `it is sealed with key ${seal}, and ${setting} is not set` };
  },
};

/**
 * Reads the text of a key file: one entry a line, empty lines and lines that begin with `#` are passed over. An entry is 32 random bytes in base64, or the word `plain`, which stands
 * for not sealing. The first entry seals, every entry opens. Gives the keys, or every mistake, without any part of the text in it.
 */
export function parseSealKeys(
  text: string,
): { readonly ok: true; readonly keys: SealKeys } | { readonly ok: false; readonly mistakes: string[] } {
  const entries: (SealKey | typeof plainSeal)[] = [];
  const mistakes: string[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const word = line.trim();
    if (word === '' || word.startsWith('#')) continue;
    const entry = word === plainSeal ? plainSeal : parseSealKey(word);
    if (entry === plainSeal || 'key' in entry) entries.push(entry);
    else mistakes.push(`line ${index + 1} ${entry.mistake}`);
  }
  const names = entries.map((entry) => (typeof entry === 'string' ? entry : entry.id));
  if (new Set(names).size < names.length) mistakes.push('the same entry stands twice');
  if (names.length > mostKeys) mistakes.push(`more than ${mostKeys} entries`);
  if (mistakes.length === 0 && names.every((name) => name === plainSeal)) mistakes.push('there is no key in it');
  return mistakes.length > 0 ? { ok: false, mistakes } : { ok: true, keys: makeSealKeys(entries) };
}

function parseSealKey(word: string): SealKey | { readonly mistake: string } {
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(word)) return { mistake: `is neither base64 nor the word ${plainSeal}` };
  const bytes = Buffer.from(word, 'base64');
  if (bytes.length !== keyBytes) return { mistake: `must be ${keyBytes} bytes in base64, and is ${bytes.length}` };
  if (new Set(bytes).size < 8) return { mistake: 'is no random key' };
  // The id says nothing of the key, and is the same in every process that has it.
  const id = createHmac('sha256', bytes).update('keywright seal key id').digest().subarray(0, idBytes).toString('hex');
  return { id, key: createSecretKey(bytes) };
}

function makeSealKeys(entries: readonly (SealKey | typeof plainSeal)[]): SealKeys {
  const [first] = entries;
  const keys = new Map(entries.flatMap((entry) => (entry === plainSeal ? [] : [[entry.id, entry.key] as const])));
  const opensPlain = entries.includes(plainSeal);
  const current = first === undefined || first === plainSeal ? undefined : first;
  return {
    current: current?.id ?? plainSeal,
    hasKeys: true,
    seal: (bytes, place) => (current === undefined ? bytes : encrypt(current, bytes, place)),
    open(bytes, place) {
      const seal = sealOf(bytes);
      if (seal === plainSeal) {
        if (opensPlain) return { ok: true, bytes };
        return { ok: false, reason: 'locked', message: `it is not sealed, and ${setting} has no line "${plainSeal}"` };
      }
      const key = keys.get(seal);
      if (key === undefined) return { ok: false, reason: 'locked', message: `it is sealed with key ${seal}, which is not in ${setting}` };
      return decrypt(key, bytes, place);
    },
  };
}

function encrypt({ id, key }: SealKey, bytes: Uint8Array, place: SealPlace): Uint8Array {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv(algorithm, key, nonce, { authTagLength: tagBytes });
  cipher.setAAD(toAssociatedData(place));
  const encrypted = cipher.update(bytes);
  return Buffer.concat([magic, Buffer.from(id, 'hex'), nonce, encrypted, cipher.final(), cipher.getAuthTag()]);
}

function decrypt(key: KeyObject, bytes: Uint8Array, place: SealPlace): Opened {
  const damaged = { ok: false, reason: 'damaged', message: 'it is sealed, but was changed or belongs to another place' } as const;
  if (bytes.length < headerBytes + tagBytes) return damaged;
  const nonce = bytes.subarray(headerBytes - nonceBytes, headerBytes);
  const decipher = createDecipheriv(algorithm, key, nonce, { authTagLength: tagBytes });
  decipher.setAAD(toAssociatedData(place));
  decipher.setAuthTag(bytes.subarray(bytes.length - tagBytes));
  try {
    return { ok: true, bytes: Buffer.concat([decipher.update(bytes.subarray(headerBytes, bytes.length - tagBytes)), decipher.final()]) };
  } catch {
    return damaged;
  }
}

/** No part can hold a zero byte: they are names of Kubernetes. */
function toAssociatedData({ type, namespace, name, entry }: SealPlace): Buffer {
  return Buffer.from(['KWS1', type, namespace, name, entry].join('\0'));
}
