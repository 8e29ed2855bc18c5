import type { Method } from './methods.ts';

const gemini = { families: ['gemini'], by: 'provider', metered: true, body: true, scope: 'chat', model: 'gemini-model' } as const;
const models = { ...gemini, by: 'gateway', metered: false, body: false, scope: 'read' } as const;
/** What only the account knows whose it is. */
const reference = { config: { cachedContent: 'cachedContents/one' } };

/** Of `@google/genai` and of `google-genai` for Python, both versions of the API. */
export const geminiMethods: readonly Method[] = [
  {
    ...gemini,
    node: 'models.generateContent',
    python: 'models.generate_content',
    answer: 'value',
    call: ({ model, text }) => ({ parameters: { model, contents: text } }),
    expected: 'Germany won.',
    reference,
  },
  {
    ...gemini,
    node: 'models.generateContentStream',
    python: 'models.generate_content_stream',
    answer: 'stream',
    call: ({ model, text }) => ({ parameters: { model, contents: text } }),
    expected: 'Wolke',
    reference,
  },
  {
    ...gemini,
    node: 'models.countTokens',
    python: 'models.count_tokens',
    answer: 'value',
    metered: false,
    call: ({ model, text }) => ({ parameters: { model, contents: text } }),
    expected: '31',
  },
  {
    ...gemini,
    node: 'models.embedContent',
    python: 'models.embed_content',
    answer: 'value',
    scope: 'embeddings',
    call: ({ model, text }) => ({ parameters: { model, contents: [text, 'Good bye'] } }),
    expected: '0.013168523',
  },
  { ...models, node: 'models.list', answer: 'list', model: undefined, call: () => ({}), expected: 'models/gemini-model' },
  {
    ...models,
    node: 'models.get',
    answer: 'value',
    call: ({ model }) => ({ parameters: { model } }),
    expected: 'models/gemini-model',
  },
];
