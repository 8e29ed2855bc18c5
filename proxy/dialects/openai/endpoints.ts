import { type Endpoint, toEndpoints } from '../dialect.ts';
import { toAzureEndpoints } from './azure-paths.ts';
import { chatCompletionsDriver } from './chat-completions.ts';
import { completionsDriver } from './completions.ts';
import { embeddingsDriver } from './embeddings.ts';
import { responsesDriver } from './responses.ts';
import { imageFormsDriver } from './image-forms.ts';
import { imagesDriver } from './images.ts';
import { moderationsDriver } from './moderations.ts';
import { speechDriver } from './speech.ts';
import { transcriptsDriver } from './transcripts.ts';

const read = { dialect: 'OpenAI', method: 'GET', scope: 'read', upstreamPath: '', body: 'none', metered: false, allowedQuery: [] } as const;

/** At OpenAI's own paths. `/v1/models` is Anthropic's and Gemini's as well, and listed here alone. */
const own: readonly Endpoint[] = [
  ...toEndpoints(chatCompletionsDriver),
  ...toEndpoints(completionsDriver),
  ...toEndpoints(responsesDriver),
  ...toEndpoints(embeddingsDriver),
  ...toEndpoints(moderationsDriver),
  ...toEndpoints(imagesDriver),
  ...toEndpoints(imageFormsDriver),
  ...toEndpoints(speechDriver),
  ...toEndpoints(transcriptsDriver),
  { surface: { ...read, name: 'models', path: '/v1/models', operation: 'models' }, driver: undefined },
  { surface: { ...read, name: 'model', path: '/v1/models/:model', operation: 'model' }, driver: undefined },
];

/** The OpenAI wire format: every path of it that clients may call. */
export const openaiEndpoints: readonly Endpoint[] = [...own, ...toAzureEndpoints(own)];
