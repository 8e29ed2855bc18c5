import type { Refusal } from '../../core/refusals.ts';

/** Parts of the providers' APIs that clients know and Keywright does not offer (yet): the first segment after the version. */
const unsupported: ReadonlySet<string> = new Set([
  'agents',
  'assistants',
  'audio',
  'auth_tokens',
  'batches',
  'batchPredictionJobs',
  'cachedContents',
  'chat',
  'chatkit',
  'complete',
  'completions',
  'containers',
  'content_provenance_checks',
  'conversations',
  'corpora',
  'decisions',
  'deployment_runs',
  'deployments',
  'dreams',
  'dynamic',
  'edits',
  'embeddings',
  'engines',
  'environments',
  'evals',
  'fileSearchStores',
  'files',
  'fine_tuning',
  'generatedFiles',
  'images',
  'interactions',
  'keys',
  'live',
  'memory_stores',
  'messages',
  'models',
  'moderations',
  'operations',
  'organization',
  'organizations',
  'projects',
  'realtime',
  'responses',
  'sessions',
  'skills',
  'threads',
  'tunedModels',
  'tuningJobs',
  'tunnels',
  'uploads',
  'user_profiles',
  'vaults',
  'vector_stores',
  'videos',
  'webhook_endpoints',
  'webhook_event_types',
]);

/** Names that stand where another path has an id. */
export function isUnsupportedCall(path: string): boolean {
  return /\/responses\/(?:compact|input_tokens)(?:\/|$)/.test(path);
}

/** Why a path that is no surface is refused: an endpoint of a provider that is not offered, or nothing at all. */
export function refusePath(path: string): Refusal {
  const match = /^(?:\/(?:anthropic|gemini|openai))?(?:\/upload)?\/v1(?:beta|alpha)?\/([^/:]+)/.exec(path);
  const isKnown = (match !== null && unsupported.has(match[1] ?? '')) || /^\/openai\/(?:deployments|responses)(?:\/|$)/.test(path);
  if (isKnown) return { code: 'endpoint_not_supported', message: 'This endpoint is not supported by the gateway.', shouldRetry: false };
  return { code: 'not_found', message: 'There is no such endpoint.', shouldRetry: false };
}
