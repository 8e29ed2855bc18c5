import { sha256Hex } from '../../../runtime/digest.ts';
import { behaviours, type ReplayingProvider } from './provider.ts';

/** The virtual keys of a run by name: what their VirtualKeys say beside the hash. `well` stands for the channels whose provider answers. */
const specs: Readonly<Record<string, string>> = {
  open: access('well'),
  expired: `${access('well')}, expiresAt: "2020-01-01T00:00:00Z"`,
  suspended: `${access('well')}, suspended: true`,
  'never-accepted': 'access: { channels: [nowhere] }',
  elsewhere: access('well', 'cidrs: ["203.0.113.0/24"]'),
  'only-audio': access('well', 'scopes: [audio]'),
  'only-images': access('well', 'scopes: [images]'),
  'other-models': access('well', 'models: ["other-*"]'),
  'with-budget': `${access('well')}, budgets: [{ period: Total, limit: "1000000" }]`,
  'few-models': access('few'),
  'no-channel': 'access: { channels: [bedrock] }',
  'no-requests': `${access('well')}, limits: { rpm: 0 }`,
  'no-tokens': `${access('well')}, limits: { tpm: 0 }`,
  'no-money': `${access('well')}, budgets: [{ period: Total, limit: "0" }]`,
  limited: `${access('well')}, limits: { rpm: 100000 }`,
  'to-throttled': access('throttled'),
  'to-silent': access('silent'),
  'to-breaking': access('breaking'),
  'to-choosy': access('choosy'),
  'to-dead': access('dead'),
  holding: access('holding'),
};

const kinds = ['OpenAI', 'Anthropic', 'Gemini'] as const;

function access(channels: string, more = ''): string {
  const names = ['openai', 'anthropic', 'gemini'].map((kind) => `${channels}-${kind}`).join(', ');
  return `access: { channels: [${names}]${more === '' ? '' : `, ${more}`} }`;
}

/** The text of a key; also of one that no manifest knows. */
export function textOf(name: string): string {
  return `sk-kw-${sha256Hex(`clients/${name}`).slice(0, 40)}`;
}

const providerCredential = 'provider-credential-of-the-replaying-provider';

/** Models that every channel lists, with a price; all others are served as well and have none. */
const pricedModels = [
  'gpt-4o-mini',
  'omni-moderation-latest',
  'gpt-image-1',
  'dall-e-2',
  'gpt-4o-mini-tts',
  'gpt-4o-mini-transcribe',
  'whisper-1',
  'gpt-3.5-turbo-instruct',
  'gpt-5-mini',
  'text-embedding-3-small',
  'claude-model',
  'gemini-model',
];

/** Keys that are accepted first and revoked then: one before its calls and one, whose provider falls silent, in the middle of them. `toManifests` holds neither. */
export function toRevocableKey(name: 'revoked' | 'ending', isRevoked: boolean): string {
  return toVirtualKey([name, `${access(name === 'ending' ? 'hanging' : 'well')}, revoked: ${isRevoked}`]);
}

/** Everything that a gateway of the run reads. `deadUrl`: where nobody listens. */
export function toManifests(provider: ReplayingProvider, deadUrl: string): string {
  const secret = `apiVersion: v1
kind: Secret
metadata: { name: provider-key, labels: { keywright.dev/credential: "true" } }
stringData: { apiKey: ${providerCredential} }
`;
  const usual = behaviours.flatMap((behaviour) => kinds.map((kind) => toChannel(behaviour, kind, provider.url(behaviour))));
  const odd = kinds.flatMap((kind) => [
    toChannel('dead', kind, deadUrl),
    toChannel('holding', kind, provider.url('silent')),
    toChannel('few', kind, provider.url('well')),
  ]);
  const bedrock = toChannel('bedrock', 'Bedrock', provider.url('well')).replace('name: bedrock-bedrock', 'name: bedrock');
  return [secret, ...usual, ...odd, bedrock, ...Object.entries(specs).map(toVirtualKey)].join('---\n');
}

function toChannel(name: string, kind: string, baseURL: string): string {
  const firstByte = name === 'silent' ? '300ms' : '10m';
  const models =
    name === 'few'
      ? '[{ name: one-that-nobody-asks-for }]'
      : `[${pricedModels.map((model) => `{ name: ${model}, price: { input: "1", output: "1", request: "1" } }`).join(', ')}, { name: "*" }]`;
  // the many calls of one run are no reason to stop calling a provider
  return `apiVersion: keywright.dev/v1alpha1
kind: Channel
metadata: { name: ${name}-${kind.toLowerCase()} }
spec:
  provider: ${kind}
  baseURL: ${baseURL}
  tls: { allowPlaintext: true }
  auth: { apiKeys: [{ name: main, secretRef: { name: provider-key, key: apiKey } }] }
  timeouts: { firstByte: ${firstByte}, idle: 10m }
  retries: { attempts: 0 }
  circuitBreaker: { consecutiveFailures: 1000 }
  models: ${models}
`;
}

function toVirtualKey([name, spec]: readonly [string, string]): string {
  return `apiVersion: keywright.dev/v1alpha1
kind: VirtualKey
metadata: { name: ${name} }
spec: { ${spec}, credential: { hashes: [{ hash: "sha256:${sha256Hex(textOf(name))}" }] } }
`;
}
