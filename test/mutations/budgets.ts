import { redisMoney, memoryMoney } from './named-tests.ts';
import type { Mutation } from './plant.ts';

export const budgetsMutations: readonly Mutation[] = [
  {
    id: 'money-settled-twice',
    bug: 'a settlement leaves the reservation, so that a second one charges again (script)',
    edits: [
      {
        file: 'proxy/counters/scripts/budget.lua',
        find: 'book_money(money, held.fields, cost - held.booked, held.left)\n  drop_held(money, id)',
        replace: 'book_money(money, held.fields, cost - held.booked, held.left)',
      },
    ],
    test: redisMoney('settlement > happens once'),
  },
  {
    id: 'money-settled-twice-memory',
    bug: 'a settlement leaves the reservation, so that a second one charges again (memory)',
    edits: [
      {
        file: 'proxy/counters/budget-store.ts',
        find: '    key.held.delete(requestId);\n    key.lapsed.delete(requestId);\n    book(',
        replace: '    book(',
      },
    ],
    test: memoryMoney('settlement > happens once'),
  },
  {
    id: 'crash-refunds-money',
    bug: 'the reservation of a proxy that has died is given back (script)',
    edits: [
      {
        file: 'proxy/counters/scripts/budget.lua',
        find: 'book_money(money, held.fields, max(0, held.floor - held.booked), held.left)',
        replace: 'book_money(money, held.fields, -held.booked, held.left)',
      },
    ],
    test: redisMoney('a reservation that nobody settles > turns into spend at its deadline, not before: the estimated input'),
  },
  {
    id: 'nobody-sweeps',
    bug: 'what a proxy held that has died stays reserved until somebody asks for the key again',
    edits: [
      { file: 'proxy/counters/budget-sweeper.ts', find: 'keyIds.length > 0 && !stopped', replace: 'keyIds.length > 1_000 && !stopped' },
    ],
    test: {
      file: 'test/redis/budgets.test.ts',
      name: 'a proxy that is killed > charges its requests and frees what they held within their deadline and five seconds, though nobody asks for the key again',
    },
  },
  {
    id: 'money-of-others',
    bug: 'a stream that flows beyond its reservation takes what other requests hold (script)',
    edits: [
      { file: 'proxy/counters/scripts/budget.lua', find: 'local released = min(flowed, held.left)', replace: 'local released = flowed' },
      { file: 'proxy/counters/scripts/budget.lua', find: 'held.left - released', replace: 'max(0, held.left - released)' },
    ],
    test: redisMoney('a stream > that flows beyond its reservation takes nothing of what others hold'),
  },
  {
    id: 'money-capped',
    bug: 'a request that may cost more than is left is let in with what is left (script)',
    edits: [
      {
        file: 'proxy/counters/scripts/admit.lua',
        find: 'window.spent + window.reserved + request.bound > budget.limit',
        replace: 'window.spent + window.reserved + min(request.bound, budget.limit - window.spent - window.reserved) > budget.limit',
      },
    ],
    test: redisMoney('admission > reserves the bound against every budget, up to the limit and not beyond, and says what they stand at'),
  },
  {
    id: 'money-in-exponent-form',
    bug: 'an amount above 1e14 is written as Lua writes it by itself (script)',
    edits: [
      {
        file: 'proxy/counters/scripts/budget.lua',
        find: "format('%.0f %.0f %.0f %.0f %s %s', held.till, held.left,",
        replace: "format('%.0f %s %.0f %.0f %s %s', held.till, held.left,",
      },
    ],
    test: redisMoney('counts amounts above 1e14 exactly'),
  },
  {
    id: 'midnight-splits',
    bug: 'a settlement goes into the day in which it happens (script)',
    edits: [
      {
        file: 'proxy/counters/scripts/budget.lua',
        find: 'local window = budget_window(money, field)\n    if money.epoch',
        replace:
          'field = string.sub(field, 1, 1) .. text_of(window_id(string.sub(field, 1, 1), money.now))\n    local window = budget_window(money, field)\n    if money.epoch',
      },
    ],
    test: redisMoney('windows > midnight splits nothing: a request counts where it was admitted'),
  },
  {
    id: 'lost-spend-believed',
    bug: 'what stands in a Redis that has begun another life is decided by',
    edits: [
      {
        file: 'proxy/counters/scripts/admit.lua',
        find: "if request.epoch ~= '*' and request.money.epoch",
        replace: 'if not request.money.epoch and request.money.epoch',
      },
    ],
    test: {
      file: 'test/redis/budgets.test.ts',
      name: 'spend that Redis has lost > in another life of Redis what stands is not believed, however it came there',
    },
  },
  {
    id: 'spent-before-opened',
    bug: 'what is spent before the budget is restored is lost in the maximum',
    edits: [{ file: 'proxy/counters/scripts/budget.lua', find: '    if money.epoch then', replace: '    if true then' }],
    test: { file: 'test/redis/budgets.test.ts', name: 'what was decided while Redis was away is spent when it is back' },
  },
  {
    id: 'flowing-forgotten',
    bug: 'without Redis what a running request has spent is written down only when it ends',
    edits: [
      {
        file: 'standalone/open-usage.ts',
        find: 'if (admission.money !== undefined) noteSpending',
        replace: 'if (admission.holdMs < 0) noteSpending',
      },
    ],
    test: { file: 'standalone/open-usage.test.ts', name: 'what a running request has spent so far survives a crash' },
  },
  {
    id: 'never-fits-later',
    bug: 'a request that a whole budget does not hold is told to come back when it renews',
    edits: [{ file: 'proxy/stages/admit.ts', find: 'if (boundNanoUsd > limitNanoUsd) {', replace: 'if (boundNanoUsd < 0) {' }],
    test: {
      file: 'proxy/stages/money.test.ts',
      name: 'a budget > that could not hold what a request may cost if nothing were spent tells no time to come back',
    },
  },
  {
    id: 'shown-unspent',
    bug: 'the status tells of the use of a key before its budgets were looked at',
    edits: [{ file: 'operator/usage/usage-display.ts', find: 'return isAwaited(usage.id) && ', replace: 'return isAwaited("") && ' }],
    test: { file: 'operator/usage/usage.test.ts', name: 'the status > says what was spent as soon as it says that the key was used' },
  },
  {
    id: 'own-former-request',
    bug: 'a client is refused by what its own former request had reserved, because the store is yet to be told that it has ended',
    edits: [
      {
        file: 'proxy/counters/ahead/front-counters.ts',
        find: 'const told = isOfStore(answer) ?',
        replace: "const told = answer.outcome === 'overruled' ?",
      },
    ],
    test: {
      file: 'proxy/counters/redis-sequential.test.ts',
      name: 'a client that sends one request after the other > has the tokens again that its former request did not use',
    },
  },
  {
    id: 'block-outlives-settlement',
    bug: 'a refusal is remembered although the store has learnt meanwhile that tokens are free again',
    edits: [
      {
        file: 'proxy/counters/ahead/block-cache.ts',
        find: 'if (hasFreed({ keyId, requests: !isOfReservations(block) }, askedMs)) return;',
        replace: '',
      },
    ],
    test: {
      file: 'proxy/counters/ahead/block-cache.test.ts',
      name: 'the block cache > lets go of what the store said before it knew of a settlement, also of what is still on its way',
    },
  },
  {
    id: 'late-answer-ignored',
    bug: 'a proxy decides by itself as soon as an answer of Redis is late, and the answer that comes a moment later counts for nothing',
    edits: [
      {
        file: 'proxy/counters/store/patience.ts',
        find: "first.outcome === 'late' && !breaker.open",
        replace: "first.outcome === 'failed' && !breaker.open",
      },
    ],
    test: {
      file: 'proxy/counters/redis-faults.test.ts',
      name: 'Redis counters when Redis fails > let a Redis that was silent for a moment decide, so that several proxies hold the limit together',
    },
  },
];
