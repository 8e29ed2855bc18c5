import { memory, redis } from './named-tests.ts';
import type { Mutation } from './plant.ts';

export const limitsMutations: readonly Mutation[] = [
  {
    id: 'charge-before-check',
    bug: 'a refused request is charged to the windows that were checked before the one that refuses (script)',
    edits: [
      {
        file: 'proxy/counters/scripts/admit.lua',
        find: 'if refusing then return',
        replace: 'if refusing then charge_windows(request) return',
      },
    ],
    test: redis('windows > a refused request changes nothing'),
  },
  {
    id: 'write-before-check',
    bug: 'a refused request writes the windows that it looked at (script)',
    edits: [
      {
        file: 'proxy/counters/scripts/admit.lua',
        find: 'if refusing then return',
        replace: 'for _, window in ipairs(request.windows) do commit(window, now) end if refusing then return',
      },
    ],
    test: redis('windows > a refused request changes nothing'),
  },
  {
    id: 'check-all-first',
    bug: 'all admissions of one call are checked before the first is charged, so that together they go beyond the limit (script)',
    edits: [
      {
        file: 'proxy/counters/scripts/admit.lua',
        find: 'local function admit_one(request)',
        replace: 'local function admit_one(request, commits)',
      },
      {
        file: 'proxy/counters/scripts/admit.lua',
        find: '  local lines = charge_windows(request)',
        replace:
          '  commits[#commits + 1] = request\n  do return sums_after({ 1, now, request.shadow }, request) end\n  local lines = charge_windows(request)',
      },
      {
        file: 'proxy/counters/scripts/admit.lua',
        find: 'local answers, cursor = {},',
        replace: 'local commits, answers, cursor = {}, {},',
      },
      { file: 'proxy/counters/scripts/admit.lua', find: 'or admit_one(request)', replace: 'or admit_one(request, commits)' },
      {
        file: 'proxy/counters/scripts/admit.lua',
        find: 'for position = 1, #charged',
        replace: 'for _, request in ipairs(commits) do charge_windows(request) end\nfor position = 1, #charged',
      },
    ],
    test: {
      file: 'proxy/counters/redis-together.test.ts',
      name: 'what goes in one call is decided as one after the other: limits, waits, what remains, repeated requests',
    },
  },
  {
    id: 'summary-for-nothing',
    bug: 'what a provider has used to sum up a long conversation is charged to nobody',
    edits: [{ file: 'core/usage.ts', find: "['compaction', 'advisor_message']", replace: "['advisor_message']" }],
    test: {
      file: 'proxy/dialects/anthropic/stream-meter.test.ts',
      name: 'what was used beside the answer > is added once, as the last delta tells it',
    },
  },
  {
    id: 'block-kept',
    bug: 'a proxy goes on refusing for want of tokens that it has just given back itself',
    edits: [
      {
        file: 'proxy/counters/ahead/block-cache.ts',
        find: "return answer.outcome === 'exhausted' || admission",
        replace: "return answer.outcome === 'exhausted' && admission",
      },
    ],
    test: {
      file: 'proxy/counters/ahead/block-cache.test.ts',
      name: 'the block cache > keeps a refusal of tokens or money for a second at most, and lets go of it with an own settlement',
    },
  },
  {
    id: 'block-stands-still',
    bug: 'a remembered refusal tells the time to wait that was told at first',
    edits: [
      {
        file: 'proxy/counters/ahead/block-cache.ts',
        find: 'retryAfterMs: answer.retryAfterMs - passedMs',
        replace: 'retryAfterMs: answer.retryAfterMs',
      },
    ],
    test: {
      file: 'proxy/counters/ahead/block-cache.test.ts',
      name: 'the block cache > answers as the store would, to the millisecond, until the time that it told',
    },
  },
  {
    id: 'charge-before-check-memory',
    bug: 'a refused request is charged to the windows that were checked before the one that refuses (memory)',
    edits: [
      {
        file: 'proxy/counters/limit-store.ts',
        find: 'if (refusing !== undefined) return',
        replace:
          'if (refusing !== undefined) for (const limit of admission.windows.slice(0, refusing)) charge(this.#advanced(admission.keyId, limit, nowMs).window, shapeOf(limit.span), nowMs, 1);\n    if (refusing !== undefined) return',
      },
    ],
    test: memory('windows > a refused request changes nothing'),
  },
  {
    id: 'k-buckets',
    bug: 'a window counts k buckets instead of k + 1, and so forgets too early (script)',
    edits: [{ file: 'runtime/window.lua', find: 'elseif last < now - index * width then', replace: 'elseif last then' }],
    test: redis('windows > counts a charge until it is a whole span old: k buckets are not enough'),
  },
  {
    id: 'k-buckets-memory',
    bug: 'a window counts k buckets instead of k + 1, and so forgets too early (memory)',
    edits: [{ file: 'core/limit.ts', find: ' && (last === undefined || last + spanMs(shape) < atMs)', replace: '' }],
    test: memory('windows > counts a charge until it is a whole span old: k buckets are not enough'),
  },
  {
    id: 'k-buckets-edge',
    bug: 'a window looks back k buckets instead of k + 1 (memory)',
    edits: [{ file: 'core/limit.ts', find: 'const edge = index - shape.k;', replace: 'const edge = index - shape.k + 1;' }],
    test: {
      file: 'core/limit.test.ts',
      name: 'a minute counts its k whole buckets, and the one across the far edge until its latest charge is older than the span',
    },
  },
  {
    id: 'settle-twice',
    bug: 'a second settlement books a second time (script)',
    edits: [{ file: 'proxy/counters/scripts/settle.lua', find: 'request.marker = nil', replace: '' }],
    test: redis('idempotency > a second settlement does nothing'),
  },
  {
    id: 'settle-twice-memory',
    bug: 'a second settlement books a second time (memory)',
    edits: [{ file: 'proxy/counters/limit-store.ts', find: 'this.#held.delete(heldName(settlement));', replace: '' }],
    test: memory('idempotency > a second settlement does nothing'),
  },
  {
    id: 'admit-twice',
    bug: 'an admission that is sent again counts again (script)',
    edits: [{ file: 'proxy/counters/scripts/admit.lua', find: 'if tonumber(held_until) > now then', replace: 'if false then' }],
    test: redis('idempotency > the same admission again changes nothing and answers as the first'),
  },
  {
    id: 'told-twice',
    bug: 'a call that is sent again after a lost reply is done again',
    edits: [
      {
        file: 'proxy/counters/scripts/settle.lua',
        find: 'if first_window == 1 and not call(',
        replace: 'if first_window == 2 and not call(',
      },
    ],
    test: {
      file: 'proxy/counters/redis-afterwards.test.ts',
      name: 'what is told together > counts once when the call is sent again, though the first was done: no charge and no event twice',
    },
  },
  {
    id: 'spend-beside-lease',
    bug: 'a request that is admitted out of a lease leaves the lease what it had',
    edits: [
      {
        file: 'proxy/counters/scripts/settle.lua',
        find: 'line.amount, lease.dirty = line.amount - taken, true',
        replace: 'lease.dirty = true',
      },
    ],
    test: {
      file: 'proxy/counters/redis-afterwards.test.ts',
      name: 'what is admitted out of a lease > leaves, when the lease is closed, what the same requests leave that were asked for one by one',
    },
  },
  {
    id: 'lease-not-closed',
    bug: 'what is left of a lease that is closed is not given back',
    edits: [
      {
        file: 'proxy/counters/scripts/settle.lua',
        find: 'elseif place and item.give_back and not deadline then',
        replace: 'elseif place and item.give_back and not deadline and line.amount == 1 then',
      },
    ],
    test: {
      file: 'proxy/counters/redis-afterwards.test.ts',
      name: 'what is admitted out of a lease > leaves, when the lease is closed, what the same requests leave that were asked for one by one',
    },
  },
  {
    id: 'lease-beyond-its-bucket',
    bug: 'a lease is spent in the sub-bucket after the one that was charged',
    edits: [
      {
        file: 'proxy/counters/ahead/leases.ts',
        find: 'const endsAtMs = Math.min(timeMs + longestLeaseMs, (Math.floor(timeMs / minuteWindow.widthMs) + 1) * minuteWindow.widthMs - 1);',
        replace: 'const endsAtMs = timeMs + longestLeaseMs;',
      },
    ],
    test: {
      file: 'proxy/counters/ahead/leases.test.ts',
      name: 'a lease > is spent only in the sub-bucket of the store that was charged, to its end',
    },
  },
  {
    id: 'lease-ages-early',
    bug: 'what a lease charges counts from when it was booked, not from when the last request is let in by it',
    edits: [
      {
        file: 'proxy/counters/scripts/admit.lua',
        find: "kind == 't' and request.deadline or request.spent_by",
        replace: "kind == 't' and request.deadline or now",
      },
    ],
    test: {
      file: 'proxy/counters/redis-afterwards.test.ts',
      name: 'what is admitted out of a lease > counts a whole span from the last moment at which it could be spent',
    },
  },
  {
    id: 'lease-for-anybody',
    bug: 'a lease that was booked for one credential lets in another',
    edits: [{ file: 'proxy/counters/ahead/leases.ts', find: ' ${bearer?.credentialId}', replace: '' }],
    test: {
      file: 'proxy/counters/ahead/leases.test.ts',
      name: 'what is booked in advance > is for the bearer and the limits that the store was asked for',
    },
  },
  {
    id: 'lease-gives-back-spent',
    bug: 'a lease gives back requests that were spent but not told of yet',
    edits: [{ file: 'proxy/counters/scripts/settle.lua', find: 'min(line.amount, item.give_back)', replace: 'line.amount' }],
    test: {
      file: 'proxy/counters/redis-afterwards.test.ts',
      name: 'what is admitted out of a lease > gives back no more requests than the proxy says, whatever of them it was told',
    },
  },
  {
    id: 'lost-not-charged',
    bug: 'a request that ends after Redis has lost its reservation costs nothing',
    edits: [
      {
        file: 'proxy/counters/scripts/budget.lua',
        find: 'if cost > 0 and money.now - lost.known < tombstone then book_money(money, fields_of(money, lost.letters), cost, 0) end',
        replace: '',
      },
    ],
    test: {
      file: 'proxy/counters/redis-lost-spend.test.ts',
      name: 'what requests cost that end while Redis loses its data, settled in batches > counts although their reservations are gone',
    },
  },
  {
    id: 'life-not-looked-at',
    bug: 'an admission is decided although the store was emptied since its proxy last asked',
    edits: [
      { file: 'proxy/counters/scripts/admit.lua', find: "known_life ~= '' and call('GET', KEYS[#KEYS]) ~= known_life", replace: 'false' },
    ],
    test: {
      file: 'proxy/counters/redis-life.test.ts',
      name: 'a Redis that is emptied without a restart > lets in not one request more than the limit under load, however often it happens',
    },
  },
  {
    id: 'refused-by-what-was-told',
    bug: 'a request is refused for what its client’s former one held, because the store said so right before it was told of the end',
    edits: [
      {
        file: 'proxy/counters/ahead/front-counters.ts',
        find: 'isOfStore(answer) && blocks.hasFreed(wanted, askedMs)',
        replace: 'false',
      },
    ],
    test: {
      file: 'proxy/counters/ahead/front-counters.test.ts',
      name: 'asks once more where the end of the former request was told behind the decision, and known before it',
    },
  },
  {
    id: 'lua-number',
    bug: 'Lua writes amounts above 1e14 in exponent form, and the next reader finds no number',
    edits: [
      {
        file: 'proxy/counters/scripts/settle.lua',
        find: "= format('%.0f %.0f %.0f %s %s', line.bucket",
        replace: "= format('%.0f %s %.0f %s %s', line.bucket",
      },
    ],
    test: redis('windows > counts amounts above 1e14 exactly'),
  },
  {
    id: 'slot-leak',
    bug: 'a settlement leaves the slot of its request taken (script)',
    edits: [{ file: 'proxy/counters/scripts/settle.lua', find: '  free_slot(item.slots, item.id)\n', replace: '' }],
    test: redis('concurrency > a client that goes one after the other is never refused'),
  },
  {
    id: 'retry-early',
    bug: 'retry-after is early by one bucket (script)',
    edits: [
      {
        file: 'proxy/counters/scripts/admit.lua',
        find: '+ bucket[3] + span + 1 - now',
        replace: '+ bucket[3] + span + 1 - now - window.width',
      },
    ],
    test: redis('retry-after > is exact for requests: refused a millisecond earlier, admitted then; at most a minute for a minute'),
  },
  {
    id: 'retry-early-memory',
    bug: 'retry-after is early by one bucket (memory)',
    edits: [
      {
        file: 'proxy/counters/limit-store.ts',
        find: 'waitMs = fitsInMs;',
        replace: 'waitMs = Math.max(1, fitsInMs - shapeOf(limit.span).widthMs);',
      },
    ],
    test: memory('retry-after > is exact for requests: refused a millisecond earlier, admitted then; at most a minute for a minute'),
  },
  {
    id: 'retry-rounded-down',
    bug: 'retry-after is rounded down to whole seconds, and so is early',
    edits: [
      {
        file: 'core/refusal-answer.ts',
        find: 'String(Math.ceil(refusal.retryAfterMs / 1000))',
        replace: 'String(Math.floor(refusal.retryAfterMs / 1000))',
      },
    ],
    test: { file: 'core/refusal-answer.test.ts', name: 'headers of a refusal > tell to come back after 1000.5 ms, never early' },
  },
  {
    id: 'abort-leaks',
    bug: 'the reservation of a request whose client hangs up is not settled',
    edits: [
      {
        file: 'proxy/stages/settle.ts',
        find: '  if (admission === undefined) return;',
        replace: '  if (admission === undefined || exchange.gone) return;',
      },
    ],
    test: {
      file: 'proxy/streams/stream.test.ts',
      name: 'a stream > whose client hangs up ends the upstream at once and books what had flowed, once',
    },
  },
  {
    id: 'surplus-kept',
    bug: 'what a stream was booked too much while it flowed stays counted when it has ended',
    edits: [{ file: 'proxy/counters/scripts/settle.lua', find: 'deadline and 0 or max(0, marker.booked - item.tokens)', replace: '0' }],
    test: redis('tokens > gives back at the end what had been booked too much, from where it was booked first'),
  },
  {
    id: 'surplus-without-bound',
    bug: 'a stream that was booked too much gives back more than was booked first, out of what others used (memory)',
    edits: [
      {
        file: 'proxy/counters/limit-store.ts',
        find: 'Math.min(first.amount, Math.max(0, bookedTokens - tokens))',
        replace: 'Math.max(0, bookedTokens - tokens)',
      },
    ],
    test: memory('tokens > gives back no more than was booked first, and nothing of what has aged out'),
  },
];
