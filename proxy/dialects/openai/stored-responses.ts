import type { Refusal } from '../../../core/refusals.ts';
import { billedTokens, parseResponsesUsage } from '../../../core/usage.ts';
import { visitMembers } from '../deep-members.ts';
import type { Body, KeptSize, Reference } from '../dialect.ts';
import { isObject } from '../../../core/json.ts';
import { invalid, isAbsent } from '../request-fields.ts';

const idPattern = /^[A-Za-z0-9_-]{1,128}$/;
/** Each is looked up. No conversation has so many items. */
const mostReferences = 2000;

export function isStoredId(id: unknown): id is string {
  return typeof id === 'string' && idPattern.test(id);
}

/** Where a request points to responses and to items of responses, with the value that stands there. */
interface Pointer {
  readonly id: unknown;
  readonly what: string;
  readonly param: string;
}

/** What a request points to that was answered before. Source: OpenAI API reference, "Responses": previous_response_id, prompt_cache_options, input items. */
function toPointers(body: Body): readonly Pointer[] {
  const { previous_response_id: previous, prompt_cache_options: cacheOptions, input, instructions, messages } = body;
  const compared = isObject(cacheOptions) ? cacheOptions['comparison_response_id'] : undefined;
  const items = [input, instructions, messages].flatMap(toList).filter(isObject).filter(isPointer);
  return [
    { id: previous, what: 'response', param: 'previous_response_id' },
    { id: compared, what: 'response', param: 'prompt_cache_options' },
    ...[...items, ...toDeepPointers(body)].map(({ id }) => ({ id, what: 'item', param: 'input' })),
  ].filter(({ id }) => !isAbsent(id));
}

/** Wherever one stands. */
function toDeepPointers(body: Body): readonly Body[] {
  const found: Body[] = [];
  visitMembers(body, '', ({ name, value, owner }) => {
    if (name === 'type' && value === 'item_reference') found.push(owner);
  });
  return found;
}

/** Contents by which an item stands for itself, however its id reads. */
const contents = [
  'content',
  'encrypted_content',
  'arguments',
  'output',
  'outputs',
  'result',
  'action',
  'actions',
  'operation',
  'input',
  'code',
  'tools',
  'results',
];

/** An item with an id and nothing in it (`item_reference`, reasoning that the provider kept, an image that it made) is read from what the account keeps. */
function isPointer(item: Body): boolean {
  if (isAbsent(item['id'])) return false;
  if (item['type'] === 'item_reference') return true;
  if (isAbsent(item['type'])) return isAbsent(item['role']) || isEmpty(item['content']);
  // it has an action as well, and the picture is read by its id
  if (item['type'] === 'image_generation_call') return isEmpty(item['result']);
  if (item['type'] === 'reasoning') return isEmpty(item['encrypted_content']);
  return contents.every((name) => isEmpty(item[name]));
}

function isEmpty(value: unknown): boolean {
  return isAbsent(value) || value === '' || (typeof value === 'object' && Object.keys(value).length === 0);
}

/** Refuses pointers that are no ids, and more of them than are looked up at once. */
export function checkStoredIds(body: Body): Refusal | undefined {
  const pointers = toPointers(body);
  const wrong = pointers.find(({ id }) => !isStoredId(id));
  if (wrong !== undefined) return invalid(wrong.param, 'with ids of 1 to 128 letters, digits, "_" and "-"');
  return pointers.length > mostReferences ? invalid('input', `a list that points to at most ${mostReferences} items`) : undefined;
}

/** Of a body that was checked; each id once. */
export function toStoredReferences(body: Body): readonly Reference[] {
  const references = toPointers(body).flatMap(({ id, what, param }) => (isStoredId(id) ? [{ id, what, param }] : []));
  return [...new Map(references.map((reference) => [reference.id, reference])).values()];
}

/** Ids that an answer or an event of a stream shows. Not those of a list of input items: a client may have chosen them itself. */
export function idsOfResponse(document: Body): readonly string[] {
  const response = isObject(document['response']) ? document['response'] : undefined;
  return [document, response, document['item'], ...toList(document['output']), ...toList(response?.['output'])]
    .filter(isObject)
    .map(({ id }) => id)
    .filter((id) => typeof id === 'string');
}

/** All that it has read and written is read again by the next one. */
export function sizeOfResponse(document: Body): KeptSize | undefined {
  const response = isObject(document['response']) ? document['response'] : document;
  const usage = parseResponsesUsage(response['usage']);
  const { id } = response;
  return usage === undefined || typeof id !== 'string' ? undefined : { id, tokens: billedTokens(usage) };
}

function toList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
