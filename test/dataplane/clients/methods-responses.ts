import type { Method } from './methods.ts';

const responses = { families: ['openai'], by: 'provider', metered: true, body: true, scope: 'chat', model: 'gpt-5-mini' } as const;
/** What only the account knows whose it is. */
const reference = { conversation: 'conv_1' };

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
];
