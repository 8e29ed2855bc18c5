/** What a 429 is about. */
export const refusalKinds = ['rpm', 'tpm', 'rpd', 'tpd', 'concurrency', 'limit of 0', 'budget'] as const;
export type RefusalKind = (typeof refusalKinds)[number];

export interface SdkRow {
  /** as its package registry calls it */
  readonly sdk: string;
  readonly version: string;
  readonly language: 'Node' | 'Python';
  /** requests that reach the gateway for one call of the program that uses the SDK, its retries included */
  readonly requests: Readonly<Record<RefusalKind, number>>;
}

/** A minute's limit is waited for and then served; concurrency is tried twice more within a second each; what cannot succeed soon is not tried again. */
const obedient = { rpm: 2, tpm: 2, rpd: 1, tpd: 1, concurrency: 3, 'limit of 0': 1, budget: 1 } as const;
/** Retries nothing unless the program asks for it. */
const never = { rpm: 1, tpm: 1, rpd: 1, tpd: 1, concurrency: 1, 'limit of 0': 1, budget: 1 } as const;

/** sdk-retries.test.ts counts these; docs/sdk-retries.md shows them. */
export const sdkTable: readonly SdkRow[] = [
  { sdk: 'openai', version: '7.57.0', language: 'Node', requests: obedient },
  { sdk: '@anthropic-ai/sdk', version: '1.12.0', language: 'Node', requests: obedient },
  { sdk: '@anthropic-ai/sdk', version: '0.137.0', language: 'Node', requests: obedient },
  { sdk: '@google/genai', version: '3.3.0', language: 'Node', requests: never },
  { sdk: 'openai', version: '3.54.0', language: 'Python', requests: obedient },
  { sdk: 'anthropic', version: '2.14.0', language: 'Python', requests: obedient },
  { sdk: 'google-genai', version: '3.6.1', language: 'Python', requests: never },
];

export function toSdkRows(): string[] {
  return [
    `| SDK | ${refusalKinds.map((kind) => (kind === 'limit of 0' || kind === 'budget' ? kind : `\`${kind}\``)).join(' | ')} |`,
    `| --- | ${refusalKinds.map(() => '---').join(' | ')} |`,
    ...sdkTable.map(
      ({ sdk, version, language, requests }) =>
        `| ${sdk} ${version} (${language}) | ${refusalKinds.map((kind) => requests[kind]).join(' | ')} |`,
    ),
  ];
}
