/** A recorded answer: the file and what it is. */
export interface Recording {
  readonly file: string;
  readonly type: string;
  /** stands in for the recorded id of a response */
  readonly id?: string;
}

interface Route {
  readonly method: string;
  /** the whole path */
  readonly path: RegExp;
  answer(asked: Asked): Recording;
}

interface Asked {
  readonly query: URLSearchParams;
  /** a stream is asked for in a field of a form */
  readonly formStreams: boolean;
  /** of a JSON body, else undefined */
  readonly json: Readonly<Record<string, unknown>> | undefined;
}

const json = (file: string): Recording => ({ file, type: 'application/json' });
const events = (file: string): Recording => ({ file, type: 'text/event-stream' });

const ofModel = (verb: string): RegExp => new RegExp(`^/v1(?:beta)?/models/[^/]+:${verb}$`);

/** What each path of a provider answers; every method of methods.ts ends at one of them. */
export const routes: readonly Route[] = [
  {
    method: 'POST',
    path: /^\/v1\/chat\/completions$/,
    answer: ({ json: body }) =>
      body?.['stream'] === true ? events(asksUsage(body) ? 'openai-chat-usage.sse' : 'openai-chat.sse') : json('openai-chat.json'),
  },
  {
    method: 'POST',
    path: /^\/v1\/completions$/,
    answer: ({ json: body }) =>
      body?.['stream'] === true
        ? events(asksUsage(body) ? 'openai-completions-usage.sse' : 'openai-completions.sse')
        : json('openai-completions.json'),
  },
  {
    method: 'POST',
    path: /^\/v1\/responses$/,
    answer: ({ json: body }) => {
      if (body?.['stream'] === true) return events('responses-text.sse');
      const id = (body?.['metadata'] as { id?: string } | undefined)?.id;
      return { ...json('responses-text.json'), ...(id === undefined ? {} : { id }) };
    },
  },
  {
    method: 'GET',
    path: /^\/v1\/responses\/[^/]+$/,
    answer: ({ query }) => (query.get('stream') === 'true' ? events('responses-text.sse') : json('responses-text.json')),
  },
  { method: 'DELETE', path: /^\/v1\/responses\/[^/]+$/, answer: () => json('responses-deleted.json') },
  { method: 'POST', path: /^\/v1\/responses\/[^/]+\/cancel$/, answer: () => json('responses-text.json') },
  {
    method: 'GET',
    path: /^\/v1\/responses\/[^/]+\/input_items$/,
    answer: () => json('responses-input-items.json'),
  },
  { method: 'POST', path: /^\/v1\/embeddings$/, answer: () => json('openai-embeddings.json') },
  {
    method: 'POST',
    path: /^\/v1\/messages$/,
    answer: ({ json: body }) => (body?.['stream'] === true ? events('anthropic-text.sse') : json('anthropic-message.json')),
  },
  { method: 'POST', path: /^\/v1\/moderations$/, answer: () => json('openai-moderation.json') },
  {
    method: 'POST',
    path: /^\/v1\/images\/generations$/,
    answer: ({ json: body }) => (body?.['stream'] === true ? events('openai-image.sse') : json('openai-image.json')),
  },
  { method: 'POST', path: /^\/v1\/images\/(?:edits|variations)$/, answer: () => json('openai-image.json') },
  { method: 'POST', path: /^\/v1\/audio\/speech$/, answer: () => ({ file: 'openai-speech.mp3', type: 'audio/mpeg' }) },
  {
    method: 'POST',
    path: /^\/v1\/audio\/transcriptions$/,
    answer: ({ formStreams }) => (formStreams ? events('openai-transcription.sse') : json('openai-transcription.json')),
  },
  { method: 'POST', path: /^\/v1\/audio\/translations$/, answer: () => json('openai-translation.json') },
  { method: 'POST', path: ofModel('generateContent'), answer: () => json('gemini-grounded.json') },
  { method: 'POST', path: ofModel('streamGenerateContent'), answer: () => events('gemini-text.sse') },
  { method: 'POST', path: ofModel('countTokens'), answer: () => json('gemini-count-tokens.json') },
  { method: 'POST', path: ofModel('(?:embedContent|batchEmbedContents)'), answer: () => json('gemini-embed-usage.json') },
  { method: 'POST', path: /^\/v1\/messages\/count_tokens$/, answer: () => json('anthropic-count-tokens.json') },
];

function asksUsage(body: Readonly<Record<string, unknown>>): boolean {
  return (body['stream_options'] as { include_usage?: unknown } | undefined)?.include_usage === true;
}
