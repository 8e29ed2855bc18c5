import { createHmac, hash } from 'node:crypto';

/** Lower-case hex SHA-256 (64 digits) of a text in UTF-8, or of bytes. The one-shot `crypto.hash` is what makes it fit for every request. */
export function sha256Hex(text: string | Uint8Array): string {
  return hash('sha256', text, 'hex');
}

/** Lower-case hex HMAC-SHA-256 (64 digits) of a text under a secret (RFC 2104). */
export function hmacHex(secret: string | Uint8Array, text: string | Uint8Array): string {
  return createHmac('sha256', secret).update(text).digest('hex');
}
