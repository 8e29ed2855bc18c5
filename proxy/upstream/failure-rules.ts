import type { Provider } from '../../core/snapshot.ts';
import type { UpstreamVerdict } from './upstream-failure.ts';

/** One line of the table: what an error of this status means when one of its codes, or the beginning of its message, is the one named. */
export interface FailureRule {
  readonly statuses: readonly number[];
  readonly codes?: readonly string[];
  /**
   * Only ever the beginning: messages quote what the client sent, and a client that could place a phrase of ours into one could take a credential from everybody.
   */
  readonly message?: RegExp;
  readonly verdict: UpstreamVerdict;
  /** the request brought it about (it is too large, names what this account lacks): nothing cools down for the others */
  readonly ofRequest?: true;
}

/** Source: OpenAI "Error codes" and recorded bodies (testdata/failures/openai). */
const openai: readonly FailureRule[] = [
  // a restricted key lacks this endpoint; for others it is as good as before
  { statuses: [401, 403], message: /^You have insufficient permissions for this operation/, verdict: 'modelForbidden' },
  // the client's own OpenAI-Organization or OpenAI-Project header
  {
    statuses: [401],
    codes: ['mismatched_organization', 'invalid_organization', 'mismatched_project', 'invalid_project'],
    verdict: 'modelForbidden',
    ofRequest: true,
  },
  {
    statuses: [400, 403, 429],
    codes: ['insufficient_quota', 'billing_hard_limit_reached', 'billing_not_active', 'access_terminated'],
    verdict: 'accountBroke',
  },
  { statuses: [429], message: /^Request too large for /, verdict: 'throttled', ofRequest: true },
  { statuses: [400, 404], codes: ['model_not_found'], verdict: 'modelUnknown' },
  { statuses: [400], message: /^Your organization must be verified /, verdict: 'modelForbidden', ofRequest: true },
];

/** Source: Azure OpenAI "Troubleshooting" and recorded bodies (testdata/failures/azure). */
const azure: readonly FailureRule[] = [
  { statuses: [404], codes: ['DeploymentNotFound'], verdict: 'modelUnknown' },
  { statuses: [400, 404], codes: ['unknown_model'], verdict: 'modelUnknown' },
  { statuses: [401], message: /^The principal .{0,200}lacks the required data action/, verdict: 'modelForbidden' },
  { statuses: [403], message: /^Out of call volume quota/, verdict: 'accountBroke' },
  ...openai,
];

/** Source: Anthropic "Errors" and recorded bodies (testdata/failures/anthropic). */
const anthropic: readonly FailureRule[] = [
  { statuses: [400, 403], message: /^Your credit balance is too low/, verdict: 'accountBroke' },
  { statuses: [400, 403, 429], message: /^You have reached your specified (?:API|workspace API) usage limits/, verdict: 'accountBroke' },
  { statuses: [400, 403], message: /^This organization has been disabled/, verdict: 'credentialDead' },
  { statuses: [400, 403, 429], codes: ['billing_error'], verdict: 'accountBroke' },
  // the request looked like that of a browser
  { statuses: [401, 403], message: /^CORS requests /, verdict: 'modelForbidden', ofRequest: true },
  { statuses: [429], message: /^Extra usage is required for long context/, verdict: 'throttled', ofRequest: true },
  { statuses: [404], message: /^model: /, verdict: 'modelUnknown' },
];

/** Source: Gemini API "Troubleshooting", google.rpc.ErrorInfo of googleapis.com, and recorded bodies (testdata/failures/gemini). */
const gemini: readonly FailureRule[] = [
  { statuses: [400, 401, 403], codes: ['API_KEY_INVALID', 'API_KEY_EXPIRED'], verdict: 'credentialDead' },
  {
    statuses: [401, 403],
    codes: [
      'SERVICE_DISABLED',
      'CONSUMER_SUSPENDED',
      'CONSUMER_INVALID',
      'API_KEY_SERVICE_BLOCKED',
      'API_KEY_IP_ADDRESS_BLOCKED',
      'API_KEY_HTTP_REFERRER_BLOCKED',
    ],
    verdict: 'credentialDead',
  },
  { statuses: [403], message: /^Your API key was reported as leaked/, verdict: 'credentialDead' },
  { statuses: [403], message: /^Method doesn't allow unregistered callers/, verdict: 'credentialDead' },
  { statuses: [400, 403], codes: ['BILLING_DISABLED'], verdict: 'accountBroke' },
  { statuses: [400], message: /^Gemini API free tier is not available in your country/, verdict: 'accountBroke' },
  { statuses: [429], message: /^Your prepayment credits are depleted/, verdict: 'accountBroke' },
  { statuses: [400], message: /^User location is not supported/, verdict: 'modelForbidden' },
  // what the client names, not what we may use
  { statuses: [403], message: /^You do not have permission to access the File /, verdict: 'requestFault' },
  { statuses: [403], message: /^CachedContent not found/, verdict: 'requestFault' },
  // a model that is not in the plan of this account has a quota of nothing
  { statuses: [429], message: /^[^{}]{0,400}\n\* Quota exceeded for metric: \S+, limit: 0\b/, verdict: 'modelForbidden' },
  { statuses: [404], message: /^models\/\S+ is not found for API version/, verdict: 'modelUnknown' },
];

/** Servers that speak OpenAI's dialect, the endpoints of Anthropic and Google among them (testdata/failures/compatible). */
const compatible: readonly FailureRule[] = [
  // OpenRouter
  { statuses: [402], message: /^This request requires more credits, or fewer max_tokens/, verdict: 'accountBroke', ofRequest: true },
  { statuses: [403], codes: ['metadata.flagged_input', 'metadata.reasons'], verdict: 'requestFault' },
  { statuses: [400], message: /^\S{1,256} is not a valid model ID$/, verdict: 'modelUnknown' },
  { statuses: [404], message: /^No endpoints found for /, verdict: 'modelUnknown' },
  // vLLM, Ollama, Mistral, DeepSeek
  { statuses: [404], message: /^The model .{1,256} does not exist/, verdict: 'modelUnknown' },
  { statuses: [404], message: /^model ["'].{1,256}["'] not found/, verdict: 'modelUnknown' },
  { statuses: [400], codes: ['invalid_model'], verdict: 'modelUnknown' },
  { statuses: [400], message: /^Model Not Exist/, verdict: 'modelUnknown' },
  // Moonshot, DashScope, LiteLLM, xAI
  { statuses: [400, 403, 429], codes: ['exceeded_current_quota_error', 'Arrearage', 'budget_exceeded'], verdict: 'accountBroke' },
  { statuses: [403], message: /^Your (?:newly created )?team doesn't have any credits/, verdict: 'accountBroke' },
  { statuses: [400], message: /^Incorrect API key provided/, verdict: 'credentialDead' },
  ...openai,
  ...gemini,
  ...anthropic,
];

/** Of the first rule that fits the verdict counts; without one, that of the status (upstream-failure.ts). */
export const failureRules: Readonly<Record<Provider, readonly FailureRule[]>> = {
  OpenAI: openai,
  AzureOpenAI: azure,
  Anthropic: anthropic,
  Gemini: gemini,
  OpenAICompatible: compatible,
  Bedrock: [],
  VertexAI: gemini,
};
