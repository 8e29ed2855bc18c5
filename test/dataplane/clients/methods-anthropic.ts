import type { Method, Said } from './methods.ts';

const toMessage = ({ model, text }: Said): Record<string, unknown> => ({
  model,
  max_tokens: 64,
  messages: [{ role: 'user', content: text }],
});

const anthropic = {
  families: ['anthropic'],
  by: 'provider',
  metered: true,
  body: true,
  scope: 'chat',
  model: 'claude-model',
} as const;
const reference = { messages: [{ role: 'user', content: [{ type: 'document', source: { type: 'file', file_id: 'file_1' } }] }] };
const messages = { ...anthropic, reference } as const;
const models = { ...anthropic, by: 'gateway', metered: false, body: false, scope: 'read' } as const;
const betas = ['interleaved-thinking-2025-05-14'];

/** Of `@anthropic-ai/sdk` and of `anthropic` for Python. */
export const anthropicMethods: readonly Method[] = [
  {
    ...messages,
    node: 'messages.create',
    answer: 'value',
    call: (said) => ({ parameters: toMessage(said) }),
    expected: 'My name is Claude',
  },
  {
    ...messages,
    node: 'messages.create',
    answer: 'stream',
    call: (said) => ({ parameters: { ...toMessage(said), stream: true } }),
    expected: 'message_stop',
  },
  {
    ...messages,
    node: 'messages.stream',
    answer: 'value',
    final: { node: 'finalMessage', python: 'get_final_message' },
    call: (said) => ({ parameters: toMessage(said) }),
    expected: 'end_turn',
  },
  {
    ...messages,
    node: 'beta.messages.create',
    answer: 'value',
    call: (said) => ({ parameters: { ...toMessage(said), betas } }),
    expected: 'My name is Claude',
  },
  {
    ...messages,
    node: 'messages.countTokens',
    python: 'messages.count_tokens',
    answer: 'value',
    metered: false,
    call: ({ model, text }) => ({ parameters: { model, messages: [{ role: 'user', content: text }] } }),
    expected: 'input_tokens',
  },
  { ...models, node: 'models.list', answer: 'list', model: undefined, call: () => ({}), expected: 'claude-model' },
  {
    ...models,
    node: 'models.retrieve',
    answer: 'value',
    call: ({ model }) => ({ positional: [model] }),
    expected: 'claude-model',
  },
];
