import { usage } from './named-tests.ts';
import type { Mutation } from './plant.ts';

export const usageMutations: readonly Mutation[] = [
  // Usage
  {
    id: 'usage-counted-twice',
    bug: 'a new leader counts entries that are in the checkpoint already',
    edits: [{ file: 'operator/usage/usage-ledger.ts', find: "if (bucket.isCounted(tag, id)) return 'counted_before';", replace: '' }],
    test: usage('checkpoints > count each entry once, wherever a leader ends and another begins'),
  },
  {
    id: 'usage-repetition-counted',
    bug: 'a settlement that was sent twice counts twice',
    edits: [{ file: 'operator/usage/usage-ledger.ts', find: "if (!isNew) return 'duplicate';", replace: '' }],
    test: usage('checkpoints > count each entry once, wherever a leader ends and another begins'),
  },
  {
    id: 'usage-written-at-rest',
    bug: 'checkpoints are written when nothing has changed',
    edits: [
      {
        file: 'operator/usage/checkpoint-writer.ts',
        find: '&& (bucket.changed || touched.size > 0));',
        replace: '&& bucket.size >= 0);',
      },
      { file: 'operator/usage/checkpoint-writer.ts', find: 'if (plan.bucket.changed) await', replace: 'await' },
      {
        file: 'operator/snapshot/snapshot-secret.ts',
        find: 'if (this.#known?.revision === revision) return;',
        replace: 'if (false) return;',
      },
    ],
    test: usage('checkpoints > hold what was used and spent, a Secret at most once a minute, and nothing is written at rest'),
  },
  {
    id: 'usage-acknowledged-early',
    bug: 'entries are acknowledged before they are written down, so that the next leader never sees them',
    edits: [
      {
        file: 'operator/usage/usage-ledger.ts',
        find: 'for (const [tag, id] of bucket.uncovered()) {',
        replace: 'for (const [tag, id] of []) {',
      },
    ],
    test: usage('checkpoints > are acknowledged only when they are written, and what cannot be written is tried again'),
  },
  {
    id: 'restore-lowers',
    bug: 'what is known of a budget replaces what stands, also when it is less',
    edits: [{ file: 'runtime/budget-restore.ts', find: 'if known > spent then redis', replace: 'if known ~= spent then redis' }],
    test: {
      file: 'test/redis/budget-scripts.test.ts',
      name: 'what is pushed raises and never lowers, and leaves alone what is reserved',
    },
  },
  {
    id: 'restore-merges-to-less',
    bug: 'of two checkpoints of one key the smaller spend counts',
    edits: [
      {
        file: 'core/key-usage.ts',
        find: 'Math.max(left[window] ?? 0, right[window] ?? 0)',
        replace: 'Math.min(left[window] ?? 0, right[window] ?? 0)',
      },
    ],
    test: {
      file: 'core/usage-checkpoint.test.ts',
      name: 'a checkpoint > keeps the most that either knows to be spent, and the later reset',
    },
  },
  {
    id: 'unanswered-epoch-counts',
    bug: 'a Redis that went on without being told what was spent is taken at its word',
    edits: [{ file: 'operator/usage/checkpoint-writer.ts', find: "epoch !== '' && epoch === answeredEpoch;", replace: "epoch !== '';" }],
    test: usage('a Redis that has lost what was spent > and went on without the answer gets it with the next look'),
  },
  {
    id: 'warning-repeated',
    bug: 'a warning is told before it is written down that it was, so that the next leader tells it again',
    edits: [
      {
        file: 'operator/usage/checkpoint-writer.ts',
        find: '    plan.notices.push(...notices.map((notice) => ({ virtualKey, notice })));',
        replace: '    for (const notice of notices) this.#options.tell(virtualKey, notice);',
      },
    ],
    test: usage('shares of a budget > are not told before they are written'),
  },
  {
    id: 'reset-twice',
    bug: 'a reset that is repeated takes back what was spent since',
    edits: [{ file: 'runtime/budget-restore.ts', find: " or redis.call('HGET', KEYS[1], 'r') == ARGV[1] then", replace: ' then' }],
    test: { file: 'test/redis/budget-scripts.test.ts', name: 'a reset sets to 0 what is named, once' },
  },
  {
    id: 'cached-twice',
    bug: 'cached input is charged at its own rate and at that of input',
    edits: [
      {
        file: 'core/price.ts',
        find: "['input', textInput - cached - written],",
        replace: "['input', usage.inputTokens - audioInput - written],",
      },
    ],
    test: { file: 'core/price.test.ts', name: 'costOf > cached input at its own rate, once' },
  },
  {
    id: 'cost-rounded-down',
    bug: 'a cost is rounded down to whole nano-dollars',
    edits: [{ file: 'core/price.ts', find: '(sum + scale - 1n) / scale', replace: 'sum / scale' }],
    test: {
      file: 'core/price.test.ts',
      name: 'against rationals > a cost is the ceiling of the exact one, up to a million million tokens',
    },
  },
  {
    id: 'hour-cache-as-minutes',
    bug: 'what is written to a cache for an hour is charged as if for five minutes',
    edits: [{ file: 'core/price.ts', find: "['cacheWrite1h', written1h],", replace: "['cacheWrite', written1h]," }],
    test: { file: 'core/price.test.ts', name: 'costOf > writes for an hour at theirs' },
  },
  {
    id: 'bound-without-cache-writes',
    bug: 'the bound forgets that input may be written to a cache, which costs more',
    edits: [
      {
        file: 'core/price.ts',
        find: "['input', 'cachedInput', 'cacheWrite', 'cacheWrite1h'];",
        replace: "['input', 'cachedInput'];",
      },
    ],
    test: {
      file: 'core/price.test.ts',
      name: 'against rationals > a bound holds for every usage that the request allows, whatever its tier',
    },
  },
  {
    id: 'reasoning-beside',
    bug: 'reasoning that a provider tells beside the completion is free',
    edits: [{ file: 'core/usage.ts', find: 'Math.max(completion, beyondInput ?? 0)', replace: 'completion' }],
    test: {
      file: 'core/usage.test.ts',
      name: 'parseOpenAIUsage > counts reasoning that stands beside the completion as output: the total tells',
    },
  },
  {
    id: 'maximum-of-zero',
    bug: 'a request with a maximum of 0, which some servers take for none, reserves nothing for its answer',
    edits: [
      {
        file: 'proxy/dialects/openai/chat-completions.ts',
        find: 'maximums.length === 0 || maximums.includes(0) ?',
        replace: 'maximums.length === 0 ?',
      },
    ],
    test: { file: 'proxy/dialects/driver.test.ts', name: 'the shape of an OpenAI request > with a maximum of 0, which bounds nothing' },
  },
  {
    id: 'unreadable-free',
    bug: 'an answer in an unknown coding, which the provider bills, is charged to nobody',
    edits: [{ file: 'proxy/attempts/attempt.ts', find: 'if (status < 300) this.#chargeInput();', replace: '' }],
    test: {
      file: 'proxy/stages/money.test.ts',
      name: 'a budget > is charged the input of an answer that nobody can read, since the provider gave it',
    },
  },
  {
    id: 'reset-keeps-waiting',
    bug: 'a budget that cannot be reset keeps the resets of other keys waiting',
    edits: [{ file: 'operator/usage/budget-resets.ts', find: 'await this.#attempt(keyId,', replace: 'await this.#reset(keyId,' }],
    test: usage('a reset by annotation > waits for the master of its key, and keeps no other key waiting'),
  },
  {
    id: 'zero-is-a-price',
    bug: 'a zero of the built-in list, which means that nobody knows, is taken for free',
    edits: [{ file: 'proxy/prices/built-in.ts', find: 'return listed === 0 ? [] :', replace: 'return listed < 0 ? [] :' }],
    test: { file: 'proxy/prices/built-in.test.ts', name: 'findBuiltInPrice > has no rate of 0: where the list has one, nothing is known' },
  },
  {
    id: 'budget-not-asked',
    bug: 'the budgets of a key are not part of its admission',
    edits: [{ file: 'proxy/stages/admit.ts', find: '...(money === undefined ? {} : { money }),', replace: '' }],
    test: {
      file: 'proxy/stages/money.test.ts',
      name: 'a budget > that does not hold what a request may cost refuses it, says so, and no SDK tries again',
    },
  },
  {
    id: 'settled-without-cost',
    bug: 'a settlement gives back what was reserved of a budget and charges nothing',
    edits: [
      { file: 'proxy/stages/settle.ts', find: 'const costNanoUsd = exchange.cost?.nanoUsd ?? 0;', replace: 'const costNanoUsd = 0;' },
    ],
    test: { file: 'proxy/stages/money.test.ts', name: 'a budget > is charged what the request has cost, and nothing stays reserved' },
  },
  {
    id: 'stream-charged-at-its-end',
    bug: 'a long answer is charged to a budget only when it ends',
    edits: [
      {
        file: 'proxy/reservations/renewal.ts',
        find: 'parts.counters.renew(exchange.admission, tokens, exchange.lastRenewNanoUsd)',
        replace: 'parts.counters.renew(exchange.admission, tokens)',
      },
    ],
    test: { file: 'proxy/stages/money.test.ts', name: 'a budget > is charged as a stream flows' },
  },
  {
    id: 'image-by-its-bytes',
    bug: 'an image counts by the bytes of its base64',
    edits: [{ file: 'proxy/dialects/measure-prompt.ts', find: 'textBytes -= length;', replace: '' }],
    test: { file: 'proxy/stages/admit.test.ts', name: 'the tokens that are reserved > do not grow with the bytes of an image' },
  },
  {
    id: 'channel-slot-leak',
    bug: 'what an attempt held of its Channel is not given back when it fails',
    edits: [
      {
        file: 'proxy/attempts/channel-limits.ts',
        find: '    parts.counters.settle({',
        replace: '    if (exchange.meter !== undefined) parts.counters.settle({',
      },
    ],
    test: { file: 'proxy/attempts/channel-limits.test.ts', name: 'a place in a Channel > is free again after an error of the provider' },
  },
  {
    id: 'channel-not-asked',
    bug: 'a full Channel is sent to all the same',
    edits: [
      {
        file: 'proxy/attempts/channel-limits.ts',
        find: "if (answer.outcome !== 'admitted') {",
        replace: "if (answer.outcome === 'unavailable') {",
      },
    ],
    test: { file: 'proxy/attempts/channel-limits.test.ts', name: 'a full Channel > is passed over, and is no attempt' },
  },
  // Metrics and the access log
  {
    id: 'limits-shown-while-away',
    bug: 'while Redis is away the used share of limits is shown as it was, or as 0',
    edits: [{ file: 'operator/usage/limit-gauge.ts', find: 'if (this.#stopped || !board.connected) return [];', replace: '' }],
    test: {
      file: 'operator/usage/limit-gauge.test.ts',
      name: 'without an answer > nothing is shown while Redis is away, not 0, and nobody is asked',
    },
  },
  {
    id: 'limits-read-at-once',
    bug: 'the limits of all keys are read in one turn of the event loop',
    edits: [{ file: 'operator/usage/limit-gauge.ts', find: 'if (batch.length < mostTogether) continue;', replace: 'continue;' }],
    test: {
      file: 'operator/usage/limit-gauge.test.ts',
      name: 'what it costs > thousands of keys are asked for in parts, with turns of the rest of the process in between',
    },
  },
  {
    id: 'limits-of-the-edit',
    bug: 'the used share is that of an edit that was refused, by which no proxy counts',
    edits: [
      {
        file: 'operator/leader-duties.ts',
        find: 'publisher.key(keyId)?.record.limits',
        replace: 'options.watches.findKey(keyId)?.spec.limits',
      },
    ],
    test: {
      file: 'operator/usage/usage.test.ts',
      name: 'metrics > of limits are those of keys that were used, by what is published, and of Channels; a new leader knows them at once, and nobody else shows any',
    },
  },
];
