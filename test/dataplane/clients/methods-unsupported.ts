import type { Method } from './methods.ts';

const unsupported = {
  by: 'nobody',
  answer: 'list',
  scope: 'chat',
  metered: false,
  model: undefined,
  body: false,
  expected: '',
  call: () => ({}),
} as const;

/** Methods of the SDKs whose endpoints the gateway knows and does not offer. */
export const unsupportedMethods: readonly Method[] = [
  ...[
    ['batches.list'],
    ['containers.list'],
    ['evals.list'],
    ['files.list'],
    ['fineTuning.jobs.list', 'fine_tuning.jobs.list'],
    ['vectorStores.list', 'vector_stores.list'],
    ['videos.list'],
  ].map(([node = '', python = node]): Method => ({ ...unsupported, families: ['openai'], node, python })),
  ...[['batches.list'], ['caches.list'], ['files.list']].map(([node = '']): Method => ({
    ...unsupported,
    families: ['gemini'],
    node,
  })),
  ...['messages.batches.list', 'beta.files.list', 'beta.skills.list'].map((node): Method => ({
    ...unsupported,
    families: ['anthropic'],
    node,
  })),
];
