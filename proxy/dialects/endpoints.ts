import { anthropicEndpoints } from './anthropic/endpoints.ts';
import type { Endpoint } from './dialect.ts';
import { geminiEndpoints } from './gemini/endpoints.ts';
import { openaiEndpoints } from './openai/endpoints.ts';

/** Every path of a provider that clients may call; one folder for each wire format. */
export const endpoints: readonly Endpoint[] = [...openaiEndpoints, ...anthropicEndpoints, ...geminiEndpoints];
