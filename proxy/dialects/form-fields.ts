import type { Prompt } from '../../core/estimate.ts';
import type { FormPart, MultipartBody } from '../bodies/multipart-scan.ts';
import type { Body } from './dialect.ts';

/**
 * Texts of a form as the values that JSON would have, so that both are checked in the same way: numbers and booleans by their plain spelling only (`1e1`, `+1`, `True` stay texts, and are
 * refused as such), `svg[model]` as the field of an object.
 */
export function toTyped(
  body: Body,
  { numbers, booleans }: { readonly numbers: readonly string[]; readonly booleans: readonly string[] },
): Body {
  // a field may be called as the prototype of objects is
  const typed = Object.create(null) as Record<string, unknown>;
  for (const [name, value] of Object.entries(body)) {
    const [, outer = '', inner = ''] = /^([a-z_]+)\[([a-z_]+)\]$/.exec(name) ?? [];
    // where the object itself stands in the form, as some text, it is refused as that
    if (inner === '' || Object.hasOwn(body, outer)) typed[name] = toValue(name, value);
    else typed[outer] = { ...(typed[outer] as object | undefined), [inner]: value };
  }
  return typed;

  function toValue(name: string, value: unknown): unknown {
    if (typeof value !== 'string') return value;
    if (numbers.includes(name) && /^(?:0|[1-9][0-9]{0,8})$/.test(value)) return Number(value);
    return booleans.includes(name) && (value === 'true' || value === 'false') ? value === 'true' : value;
  }
}

/** Fields that no model reads; all other texts count as prompt. */
const notRead: ReadonlySet<string> = new Set([
  'model',
  'n',
  'size',
  'quality',
  'stream',
  'response_format',
  'output_format',
  'output_compression',
  'partial_images',
  'background',
  'moderation',
  'input_fidelity',
  'user',
  'language',
  'temperature',
  'timestamp_granularities[]',
  'include[]',
]);

/** Measures a form; `toMedia` says what a part is that is no text. Sounds may also stand in it as `data:` URLs. */
export function measureForm(form: MultipartBody, toMedia: (part: FormPart) => 'image' | 'audio' | undefined): Prompt {
  const prompt = { textBytes: 0, tokens: 0, images: 0, audios: 0, audioBytes: 0, files: 0, fileBytes: 0 };
  for (const part of form.parts) {
    const bytes = part.valueEnd - part.valueStart;
    const media = toMedia(part);
    if (media === 'image') {
      prompt.images += 1;
    } else if (media === 'audio') {
      prompt.audios += 1;
      prompt.audioBytes += bytes;
    } else if (!notRead.has(part.name)) {
      prompt.textBytes += bytes;
    }
  }
  return prompt;
}
