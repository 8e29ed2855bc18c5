import type { Refusal } from '../../../core/refusals.ts';
import type { Body, RequestShape } from '../dialect.ts';
import { isObject } from '../../../core/json.ts';
import { checkTools, isAbsent, toToolModels } from '../request-fields.ts';

/**
 * What the tool `image_generation` may draw with where it names no model. The reference says that the default is gpt-image-1, the guide that the tool makes its own choice among the GPT Image
 * models, and both have changed: a key needs all of them, or the request a name. Sources: OpenAI API reference, "Responses", tools; "Image generation", Responses API.
 */
const possibleModels: readonly string[] = ['gpt-image-1', 'gpt-image-1-mini', 'gpt-image-1.5', 'gpt-image-2'];

/** Models that a checked request names beside its own, and those of which the provider takes one because it does not. */
export function toToolShape(body: Body): Pick<RequestShape, 'drawsImages' | 'possibleModels'> & { readonly toolModels: readonly string[] } {
  const brought = toBroughtTools(body);
  const tools = [...(Array.isArray(body['tools']) ? (body['tools'] as unknown[]) : []), ...brought];
  const drawing = tools.filter(isObject).filter(({ type }) => type === 'image_generation');
  const named = toToolModels(tools);
  const possible = drawing.some(({ model }) => isAbsent(model)) ? possibleModels.filter((model) => !named.includes(model)) : [];
  return {
    toolModels: [...named, ...possible],
    ...(drawing.length === 0 ? {} : { drawsImages: true }),
    ...(possible.length === 0 ? {} : { possibleModels: possible }),
  };
}

/** Tools that come as items of the input (those that a search of the client's own has found) are tools like the others. */
export function checkBroughtTools(body: Body): Refusal | undefined {
  const refusal = checkTools({ tools: toBroughtTools(body) });
  return refusal === undefined ? undefined : { ...refusal, message: refusal.message.replace('"tools"', '"input[].tools"'), param: 'input' };
}

/** What a server for tools has listed is no tool yet: the request's own `tools` say whether it may be called. */
function toBroughtTools({ input }: Body): readonly unknown[] {
  if (!Array.isArray(input)) return [];
  return input
    .filter(isObject)
    .flatMap(({ type, tools }) => (type === 'mcp_list_tools' || !Array.isArray(tools) ? [] : (tools as unknown[])));
}
