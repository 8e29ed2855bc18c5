import type { Refusal } from '../../core/refusals.ts';
import { type DeepMember, visitMembers } from './deep-members.ts';
import type { Body } from './dialect.ts';
import { isObject } from '../../core/json.ts';
import { isAbsent } from './request-fields.ts';

/**
 * Names of fields that point to something which an account keeps, and of which nobody here knows whose it is. Wherever they stand: an account is shared by tenants.
 * Sources: OpenAI API reference, "Responses", "Chat Completions"; Anthropic API reference, "Files", "Containers", "Skills".
 */
const keptElsewhere: ReadonlySet<string> = new Set([
  'previous_response_id',
  'comparison_response_id',
  'conversation',
  'conversation_id',
  'file_id',
  'file_ids',
  'vector_store_id',
  'vector_store_ids',
  'container_id',
  'tunnel_id',
  'assistant_id',
  'thread_id',
]);

/** Refuses a body that points to what the account keeps, wherever it does; what can be looked up (responses, their items) has fields of its own. */
export function checkReferences(body: Body, lookedUp: readonly string[] = []): Refusal | undefined {
  let found: string | undefined;
  visitMembers(body, '', (member) => {
    if (!lookedUp.includes(member.name) && (isReference(member) || isOfAccount(member))) found ??= member.path;
  });
  return found === undefined ? undefined : unsupportedReference(found);
}

/** The refusal of a pointer that nobody can check. */
export function unsupportedReference(param: string): Refusal {
  return {
    code: 'unsupported_reference',
    message: `The field "${param}" points to an object that the provider keeps, and the gateway cannot tell whose it is.`,
    param,
  };
}

/** Places of addresses of images, sounds, films and files. */
const mediaAddress = /(?:^|\.)(?:(?:image_url|audio_url|video_url|file_url)(?:\.url)?|source\.url)$/;
/** What a provider fetches as anybody may. Other schemes are its own storage, read with the rights of the account (gs://, s3://, oss://, ms://), or its own disk (file://). */
const otherScheme = /^(?!https?:|data:)[a-z][a-z\d+.-]*:\/\//i;

function isOfAccount({ value, path }: DeepMember): boolean {
  return typeof value === 'string' && otherScheme.test(value.trimStart()) && mediaAddress.test(path);
}

function isReference({ name, value, owner }: DeepMember): boolean {
  if (isAbsent(value) || (Array.isArray(value) && value.length === 0)) return false;
  // one that is to be made for this request is an object without an id
  if (name === 'container') return !isObject(value) || !isAbsent(value['id']);
  // an answer in sound that the account keeps, and a voice of its own
  if (name === 'audio' || name === 'voice') return isObject(value) && !isAbsent(value['id']);
  // Anthropic's own are everybody's
  if (name === 'skill_id') return owner['type'] !== 'anthropic';
  return keptElsewhere.has(name);
}
