import type { Prompt } from '../../core/estimate.ts';
import type { JsonBody } from '../bodies/json-scan.ts';
import type { Body } from './dialect.ts';
import { isObject } from '../../core/json.ts';

/** A part of a message that is no text. */
export interface Media {
  readonly kind: 'image' | 'audio' | 'file';
  /** base64 (also as a `data:` URL) that stands in the body; absent when the part only points to it */
  readonly data: string | undefined;
}

/** Says of any object in a body whether it is such a part. */
export type FindMedia = (part: Body) => Media | undefined;

/**
 * Fields that no model reads. Everything else counts as prompt: servers that speak a dialect have fields of their own, and what a model is sent under a name that
 * is unknown here must not be free.
 */
const notRead: ReadonlySet<string> = new Set([
  'model',
  'models',
  'stream',
  'stream_options',
  'n',
  'max_tokens',
  'max_completion_tokens',
  'temperature',
  'top_p',
  'top_k',
  'stop',
  'seed',
  'user',
  'metadata',
  'logit_bias',
  'logprobs',
  'top_logprobs',
  'service_tier',
  'store',
  'encoding_format',
  'dimensions',
]);

/** Measures a whole body (not a shrunk one) of a request for text; linear in its values. */
export function measurePrompt(body: JsonBody, findMedia: FindMedia): Prompt {
  let textBytes = body.bytes.length;
  for (const { name, escaped, keyStart, valueEnd } of body.members) {
    if (notRead.has(name) && !escaped) textBytes -= valueEnd - keyStart;
  }
  const counts = { images: 0, audios: 0, audioBytes: 0, files: 0, fileBytes: 0 };
  visit(body.value, (value) => {
    const media = isObject(value) ? findMedia(value) : undefined;
    if (media === undefined) return true;
    const length = media.data?.length ?? 0;
    textBytes -= length;
    const bytes = Math.floor(length * 0.75);
    if (media.kind === 'image') {
      counts.images += 1;
    } else if (media.kind === 'audio') {
      counts.audios += 1;
      counts.audioBytes += bytes;
    } else {
      counts.files += 1;
      counts.fileBytes += bytes;
    }
    return false;
  });
  return { textBytes: Math.max(0, textBytes), tokens: 0, ...counts };
}

/** Measures what an embeddings request carries: texts, or lists of tokens, which are what they are. */
export function measureInputs(input: unknown): Prompt {
  let textBytes = 0;
  let tokens = 0;
  visit(input, (value) => {
    if (typeof value === 'string') textBytes += Buffer.byteLength(value);
    else if (typeof value === 'number') tokens += 1;
    return true;
  });
  return { textBytes, tokens, images: 0, audios: 0, audioBytes: 0, files: 0, fileBytes: 0 };
}

/** Base64 of a `data:` URL; undefined for any other URL. */
export function toEmbedded(url: unknown): string | undefined {
  return typeof url === 'string' && url.startsWith('data:') ? url : undefined;
}

/** Every value below `root`, itself included; `look` says whether to go on into it. No recursion: a body may be nested a million deep. */
function visit(root: unknown, look: (value: unknown) => boolean): void {
  const pending: unknown[] = [root];
  while (pending.length > 0) {
    const value = pending.pop();
    if (!look(value) || typeof value !== 'object' || value === null) continue;
    // not by spreading: a list may be longer than a call may have arguments
    for (const child of Array.isArray(value) ? value : Object.values(value)) pending.push(child);
  }
}
