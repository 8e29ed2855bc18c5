import { type Endpoint, type Surface, toEndpoints } from '../dialect.ts';
import { embedDriver } from './embed.ts';
import { generateDriver } from './generate.ts';

const read = {
  dialect: 'Gemini',
  method: 'GET',
  scope: 'read',
  upstreamPath: '',
  body: 'none',
  metered: false,
  allowedQuery: [],
} as const;

/** `/v1/models` stands in OpenAI's list: it is one path of several dialects. */
const lists: readonly Surface[] = ['/v1beta', '/gemini/v1beta', '/gemini/v1'].flatMap((root): Surface[] => [
  { ...read, name: 'models', path: `${root}/models`, operation: 'models' },
  { ...read, name: 'model', path: `${root}/models/:model`, operation: 'model' },
]);

/** The Gemini wire format: every path of it that clients may call. */
export const geminiEndpoints: readonly Endpoint[] = [
  ...toEndpoints(generateDriver),
  ...toEndpoints(embedDriver),
  ...lists.map((surface) => ({ surface, driver: undefined })),
];
