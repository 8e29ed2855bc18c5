import { Secret } from './secret.ts';

/**
 * The format of a generated key: `<prefix><id>-<secret><crc>`. The id (10) and the secret (43, 256 random bits) are base62, the end is the
 * CRC-32 of everything before it as 6 base62 characters: scanners recognise a leaked key, and a typo is found without a look-up.
 */

export const defaultKeyPrefix = 'sk-kw-';

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const idLength = 10;
const secretLength = 43;
const checksumLength = 6;
const tailLength = idLength + 1 + secretLength + checksumLength;
/** the longest prefix that the VirtualKey schema allows */
const maximumPrefixLength = 24;
const displayedIdLength = 4;

/** For secret scanners; a match is a key only if its checksum is right too. */
export const virtualKeyPattern = /^[a-z0-9]+(?:[_-][a-z0-9]+)*[_-][0-9A-Za-z]{10}-[0-9A-Za-z]{49}$/;

/**
 * Makes a new key.
 * @param prefix start of the key; lower case, ends in `-` or `_`
 * @param random gives so many random bytes of cryptographic quality
 */
export function makeVirtualKey(prefix: string, random: (bytes: number) => Uint8Array): Secret {
  const body = `${prefix}${randomText(idLength, random)}-${randomText(secretLength, random)}`;
  return new Secret(body + toChecksum(body));
}

/** Reads a key of our format; undefined when format or checksum are wrong. Says nothing about whether the key exists. */
export function parseVirtualKey(text: string): { prefix: string; id: string; displayPrefix: string } | undefined {
  if (text.length > maximumPrefixLength + tailLength || !virtualKeyPattern.test(text)) return undefined;
  const body = text.slice(0, -checksumLength);
  if (toChecksum(body) !== text.slice(-checksumLength)) return undefined;
  const prefix = text.slice(0, -tailLength);
  const id = text.slice(prefix.length, prefix.length + idLength);
  return { prefix, id, displayPrefix: `${prefix}${id.slice(0, displayedIdLength)}…` };
}

/** What may be shown of a key: its prefix and the first 4 characters of its id; `''` for text that is not of our format. */
export function toDisplayPrefix(key: string): string {
  return parseVirtualKey(key)?.displayPrefix ?? '';
}

/** True for a brought key that can be guessed: SHA-256 without a salt is right only for random keys of at least 128 bits. */
export function isWeakKey(text: string): boolean {
  return text.length < 32 || new Set(text).size < 12;
}

function randomText(length: number, random: (bytes: number) => Uint8Array): string {
  // Bytes from 248 on are thrown away: 256 is no multiple of 62, and the first characters would come up more often.
  const fair = 256 - (256 % alphabet.length);
  let text = '';
  while (text.length < length) {
    for (const byte of random(length - text.length)) {
      if (byte < fair) text += alphabet.charAt(byte % alphabet.length);
    }
  }
  return text;
}

function toChecksum(body: string): string {
  let rest = crc32(body);
  let text = '';
  for (let index = 0; index < checksumLength; index += 1) {
    text = alphabet.charAt(rest % alphabet.length) + text;
    rest = Math.floor(rest / alphabet.length);
  }
  return text;
}

/** CRC-32 (ISO 3309, as in zip and PNG) of ASCII text. */
function crc32(text: string): number {
  let crc = 0xffffffff;
  for (let index = 0; index < text.length; index += 1) {
    crc ^= text.charCodeAt(index);
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
