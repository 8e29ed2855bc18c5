import type { Method } from './methods.ts';

const responses = { families: ['openai', 'azure'], by: 'provider', metered: true, body: true, scope: 'chat', model: 'gpt-5-mini' } as const;
/** What only the account knows whose it is. */
const reference = { conversation: 'conv_1' };

const stored = { ...responses, metered: false, body: false, model: undefined, stored: true } as const;

/** The Responses API of `openai` for Node and Python. */
export const responsesMethods: readonly Method[] = [
  {
    ...responses,
    node: 'responses.create',
    answer: 'value',
    call: ({ model, text }) => ({ parameters: { model, input: text } }),
    expected: 'output_text',
    reference,
  },
  {
    ...responses,
    node: 'responses.create',
    answer: 'stream',
    call: ({ model, text }) => ({ parameters: { model, input: text, stream: true } }),
    expected: 'response.completed',
    errorEvents: true,
    reference,
  },
  {
    ...responses,
    node: 'responses.stream',
    answer: 'value',
    final: { node: 'finalResponse', python: 'get_final_response' },
    call: ({ model, text }) => ({ parameters: { model, input: text } }),
    expected: 'output_text',
    reference,
  },
  { ...stored, node: 'responses.retrieve', answer: 'value', call: ({ id }) => ({ positional: [id] }), expected: 'output_text' },
  {
    ...stored,
    node: 'responses.retrieve',
    answer: 'stream',
    call: ({ id }) => ({ positional: [id], parameters: { stream: true } }),
    expected: 'response.completed',
  },
  { ...stored, node: 'responses.cancel', answer: 'value', call: ({ id }) => ({ positional: [id] }), expected: 'output_text' },
  { ...stored, node: 'responses.delete', answer: 'value', call: ({ id }) => ({ positional: [id] }), expected: '' },
  {
    ...stored,
    node: 'responses.inputItems.list',
    python: 'responses.input_items.list',
    answer: 'list',
    call: ({ id }) => ({ positional: [id] }),
    expected: 'input_text',
  },
];
