import type { Method } from './methods.ts';

const toMessages = (text: string): object[] => [{ role: 'user', content: text }];

const openai = { families: ['openai', 'azure'], by: 'provider', metered: true, body: true } as const;
/** What only the account knows whose it is. */
const reference = { messages: [{ role: 'user', content: [{ type: 'file', file: { file_id: 'file-1' } }] }] };
const chat = { ...openai, scope: 'chat', model: 'gpt-4o-mini', reference } as const;
const completions = { ...openai, scope: 'chat', node: 'completions.create', model: 'gpt-3.5-turbo-instruct' } as const;
const models = { ...openai, families: ['openai'], by: 'gateway', metered: false, body: false, scope: 'read' } as const;

/** Of `openai` for Node and Python. */
export const openaiMethods: readonly Method[] = [
  {
    ...chat,
    node: 'chat.completions.create',
    answer: 'value',
    call: ({ model, text }) => ({ parameters: { model, messages: toMessages(text) } }),
    expected: 'The report says',
  },
  {
    ...chat,
    node: 'chat.completions.create',
    answer: 'stream',
    call: ({ model, text }) => ({ parameters: { model, messages: toMessages(text), stream: true } }),
    expected: 'Hello',
  },
  {
    ...chat,
    node: 'chat.completions.stream',
    answer: 'value',
    final: { node: 'finalChatCompletion', python: 'get_final_completion' },
    call: ({ model, text }) => ({ parameters: { model, messages: toMessages(text) } }),
    expected: 'Hello',
  },
  {
    ...completions,
    answer: 'value',
    call: ({ model, text }) => ({ parameters: { model, prompt: text } }),
    expected: 'text_completion',
  },
  {
    ...completions,
    answer: 'stream',
    call: ({ model, text }) => ({ parameters: { model, prompt: text, stream: true } }),
    expected: 'text_completion',
  },
  {
    ...openai,
    node: 'embeddings.create',
    answer: 'value',
    scope: 'embeddings',
    model: 'text-embedding-3-small',
    call: ({ model, text }) => ({ parameters: { model, input: text, encoding_format: 'float' } }),
    expected: 'embedding',
  },
  { ...models, node: 'models.list', answer: 'list', model: undefined, call: () => ({}), expected: 'gpt-4o-mini' },
  {
    ...models,
    node: 'models.retrieve',
    answer: 'value',
    model: 'gpt-4o-mini',
    call: ({ model }) => ({ positional: [model] }),
    expected: 'gpt-4o-mini',
  },
];
