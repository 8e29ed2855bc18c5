import { type Endpoint, toEndpoints } from '../dialect.ts';
import { messagesDriver } from './messages.ts';

const read = {
  dialect: 'Anthropic',
  method: 'GET',
  scope: 'read',
  upstreamPath: '',
  body: 'none',
  metered: false,
  allowedQuery: [],
} as const;

/** The Anthropic wire format: every path of it that clients may call, but for `/v1/models`, which stands in OpenAI's list. */
export const anthropicEndpoints: readonly Endpoint[] = [
  ...toEndpoints(messagesDriver),
  { surface: { ...read, name: 'models', path: '/anthropic/v1/models', operation: 'models' }, driver: undefined },
  { surface: { ...read, name: 'model', path: '/anthropic/v1/models/:model', operation: 'model' }, driver: undefined },
];
