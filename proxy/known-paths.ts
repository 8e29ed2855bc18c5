import type { Refusal } from '../core/refusals.ts';

/** Parts of the providers' APIs that clients know and Keywright does not offer (yet): the first segment after the version. */
const unsupported: ReadonlySet<string> = new Set([
  'assistants',
  'audio',
  'batches',
  'cachedContents',
  'chat',
  'completions',
  'containers',
  'conversations',
  'corpora',
  'evals',
  'files',
  'fine_tuning',
  'images',
  'keys',
  'messages',
  'models',
  'moderations',
  'organization',
  'organizations',
  'projects',
  'realtime',
  'responses',
  'skills',
  'threads',
  'tunedModels',
  'uploads',
  'vector_stores',
  'videos',
]);

/** `POST /v1/models/{model}:{method}` is Gemini's way to call a model, and no wrong method of the list of models, whose names may have a colon too. */
export function isModelCall(method: string | undefined, path: string): boolean {
  return method === 'POST' && /\/models\/[^/]+:[A-Za-z]+$/.test(path);
}

/** Why a path that is no surface is refused: an endpoint of a provider that is not offered, or nothing at all. */
export function refusePath(path: string): Refusal {
  const match = /^(?:\/(?:anthropic|gemini|openai))?\/v1(?:beta|alpha)?\/([^/:]+)/.exec(path);
  const isKnown = (match !== null && unsupported.has(match[1] ?? '')) || /^\/openai\/(?:deployments|responses)(?:\/|$)/.test(path);
  if (isKnown) return { code: 'endpoint_not_supported', message: 'This endpoint is not supported by the gateway.', shouldRetry: false };
  return { code: 'not_found', message: 'There is no such endpoint.', shouldRetry: false };
}
