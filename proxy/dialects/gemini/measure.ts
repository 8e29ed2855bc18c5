import type { Prompt } from '../../../core/estimate.ts';
import type { JsonBody } from '../../bodies/json-scan.ts';
import type { Body } from '../dialect.ts';
import { type Media, measureInputs, measurePrompt } from '../measure-prompt.ts';
import { isObject } from '../../../core/json.ts';
import { field, fieldObjects } from './fields.ts';

/** What no model reads of a request. */
const notRead: ReadonlySet<string> = new Set(['safetySettings', 'safety_settings', 'serviceTier', 'service_tier']);

export function measureContents(body: JsonBody): Prompt {
  const measured = measurePrompt(body, toMedia);
  const unread = body.members.filter(({ name, escaped }) => notRead.has(name) && !escaped);
  const textBytes = unread.reduce((bytes, { keyStart, valueEnd }) => bytes - (valueEnd - keyStart), measured.textBytes);
  return { ...measured, textBytes: Math.max(0, textBytes) };
}

/** The texts alone: answers to embeddings seldom tell their usage, and then this is what is charged. */
export function measureEmbedded(body: JsonBody): Prompt {
  const { textBytes } = measureInputs([body.value, ...(fieldObjects(body.value, 'requests') ?? [])].flatMap(toTexts));
  return { ...measurePrompt(body, toMedia), textBytes };
}

function toTexts(request: Body): unknown[] {
  const parts = fieldObjects(field(request, 'content'), 'parts') ?? [];
  return [field(request, 'title'), ...parts.map((part) => part['text'])];
}

/** Parts that are no text, inline or by an address. A text that is sent as a file is read as text, whatever its coding. Source: Gemini API reference, "Part", "Blob", "FileData". */
function toMedia(part: Body): Media | undefined {
  const inline = field(part, 'inlineData');
  if (isObject(inline)) return toKind(field(inline, 'mimeType'), typeof inline['data'] === 'string' ? inline['data'] : undefined);
  const file = field(part, 'fileData');
  return isObject(file) ? toKind(field(file, 'mimeType') ?? 'video/*', undefined) : undefined;
}

function toKind(mimeType: unknown, data: string | undefined): Media | undefined {
  const [kind] = String(mimeType).toLowerCase().split('/', 1);
  if (kind === 'image' || kind === 'audio') return { kind, data };
  return kind === 'text' && data !== undefined ? undefined : { kind: 'file', data };
}
