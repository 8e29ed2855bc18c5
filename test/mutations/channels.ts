import type { Mutation } from './plant.ts';

export const channelsMutations: readonly Mutation[] = [
  {
    id: 'probe-for-all',
    bug: 'a breaker whose time is over lets everybody through at once',
    edits: [
      {
        file: 'core/circuit.ts',
        find: "return probeUntilMs !== undefined && nowMs < probeUntilMs ? 'probing' : 'halfOpen';",
        replace: "return probeUntilMs === -1 ? 'probing' : 'halfOpen';",
      },
    ],
    test: {
      file: 'proxy/channels/channel-health.test.ts',
      name: 'the breaker of a channel > opens by failures in a row, lets one request through, and closes when it is answered',
    },
  },
  {
    id: 'quota-of-one-for-all',
    bug: 'a request that is too large for a quota takes the model from every tenant',
    edits: [
      {
        file: 'core/credential-health.ts',
        find: "verdict === 'quotaSpent' ? ownNameOf(asker) : asker.model",
        replace: 'asker.model',
      },
    ],
    test: {
      file: 'proxy/attempts/try-channel.test.ts',
      name: 'a request > that a deployment has no quota for leaves it to every other tenant, and is told to come back soon',
    },
  },
  {
    id: 'day-believed',
    bug: 'a provider that asks for a day of rest, perhaps for one large request, takes the credential from everybody',
    edits: [
      {
        file: 'proxy/upstream/upstream-failure.ts',
        find: "verdict: isLong ? 'quotaSpent' : verdict",
        replace: "verdict: isLong && status === 0 ? 'quotaSpent' : verdict",
      },
    ],
    test: {
      file: 'proxy/attempts/try-channel.test.ts',
      name: 'a request > that a deployment has no quota for leaves it to every other tenant, and is told to come back soon',
    },
  },
  {
    id: 'throttle-of-all',
    bug: 'a throttle of one credential counts against the whole channel',
    edits: [{ file: 'proxy/attempts/attempt-health.ts', find: '  throttled: answered,', replace: '  throttled: noAnswer,' }],
    test: {
      file: 'proxy/attempts/try-channel.test.ts',
      name: 'a request > of a throttled account is told when to come back, and asks nobody until then',
    },
  },
  {
    id: 'retries-without-budget',
    bug: 'repetitions are made without end',
    edits: [
      {
        file: 'proxy/attempts/try-channel.ts',
        find: 'if (isOtherCredential || parts.health.mayRepeat(channel)) return true;',
        replace: 'if (isOtherCredential || parts.health.mayRepeat(channel) || last !== undefined) return true;',
      },
    ],
    test: {
      file: 'proxy/attempts/try-channel.test.ts',
      name: 'a request > is repeated for at most a fifth of the requests of its channel, and a few in hand',
    },
  },
  {
    id: 'forbidden-model-ejects',
    bug: 'a model that a credential may not use takes the credential from all models',
    edits: [
      {
        file: 'core/credential-health.ts',
        find: 'if (isModelTrouble(verdict)) return',
        replace: "if (isModelTrouble(verdict) && verdict !== 'modelForbidden') return",
      },
    ],
    test: { file: 'proxy/channels/channel-health.test.ts', name: 'a credential > that may not use a model goes on with every other' },
  },
  {
    id: 'one-tenant-opens-for-all',
    bug: 'failures of one tenant open the breaker for all',
    edits: [
      {
        file: 'core/channel-breaker.ts',
        find: '&& (culprit === undefined || culprit === tenant);',
        replace: '&& (culprit === undefined || tenant !== undefined);',
      },
    ],
    test: {
      file: 'proxy/channels/channel-health.test.ts',
      name: 'the breaker of a channel > is open for the tenant whose requests fail, and shown as such',
    },
  },
  {
    id: 'quoted-phrase',
    bug: 'a phrase that a client has placed in an error message takes the credential from everybody',
    edits: [
      {
        file: 'proxy/upstream/failure-rules.ts',
        find: 'message: /^Your credit balance is too low/',
        replace: 'message: /Your credit balance is too low/',
      },
    ],
    test: { file: 'proxy/upstream/upstream-failure.test.ts', name: 'a recorded error body > anthropic/quoted-phrase.json' },
  },
];
