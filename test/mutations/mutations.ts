import type { Mutation } from './plant.ts';

/** The contract suite runs once for each store. */
const memory = (name: string): Mutation['test'] => ({ file: 'proxy/counters/memory.test.ts', name: `counters: memory > ${name}` });
const redis = (name: string): Mutation['test'] => ({ file: 'proxy/counters/redis.test.ts', name: `counters: Redis > ${name}` });
const redisMoney = (name: string): Mutation['test'] => ({ file: 'proxy/counters/redis.test.ts', name: `budgets: Redis > ${name}` });
const memoryMoney = (name: string): Mutation['test'] => ({ file: 'proxy/counters/memory.test.ts', name: `budgets: memory > ${name}` });
const golden = (file: string): Mutation['test'] => ({ file: 'operator/translate/translate.test.ts', name: `translate > ${file}` });

const usage = (name: string): Mutation['test'] => ({ file: 'operator/usage/usage.test.ts', name });

const interleavings: Mutation['test'] = {
  file: 'operator/interleavings/interleavings.test.ts',
  name: 'any interleaving of users, time, crashes at any write, and two leaders of which one lags behind > never delivers what is refused, never accepts what is planted, undelivered or over, and comes to rest',
};

/**
 * Bugs that would break a promise, each with the test that is there to catch it. A change of the code that moves one of these places brings its new text here; a place that
 * is gone for good takes its bug with it.
 */
export const mutations: readonly Mutation[] = [
  // Limits
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
    id: 'told-unnamed',
    bug: 'what is told together has no marker, so that after a lost reply its usage events stand twice',
    edits: [{ file: 'proxy/counters/store/pack-calls.ts', find: '{ clock, name: nameNext() }', replace: '{ clock }' }],
    test: {
      file: 'proxy/counters/redis-told.test.ts',
      name: 'what was told when the reply was lost is told again as it was, counts once, and its events stand once',
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
    id: 'settled-again-charges',
    bug: 'whoever settles a request twice is charged twice',
    edits: [
      {
        file: 'proxy/counters/outage/push-back.ts',
        find: 'if (entry === undefined) return settlement;',
        replace:
          'if (entry === undefined) return { ...settlement, ...(settlement.money && { money: { ...settlement.money, knownMs: now() } }) };',
      },
    ],
    test: {
      file: 'proxy/counters/redis-lost-spend.test.ts',
      name: 'what requests cost that end while Redis loses its data, settled in batches > counts once, whoever ends it twice',
    },
  },
  {
    id: 'push-twice',
    bug: 'what a proxy pushes back after an outage is charged again when it is sent again',
    edits: [
      {
        file: 'proxy/counters/scripts/push-back.lua',
        find: "if not call('SET', KEYS[1], '1', 'PX', keep, 'NX') then return -1 end",
        replace: '',
      },
    ],
    test: {
      file: 'proxy/counters/redis-push-back.test.ts',
      name: 'what was decided while Redis was away > is charged once, however often it is sent, and by each proxy for itself',
    },
  },
  {
    id: 'push-kept',
    bug: 'a Redis that comes back with its memory is charged once more with what it had decided',
    edits: [{ file: 'proxy/counters/scripts/push-back.lua', find: 'local had, pushed = stood, 0', replace: 'local had, pushed = 0, 0' }],
    test: {
      file: 'proxy/counters/redis-push-back.test.ts',
      name: 'what Redis had decided > is charged to nobody twice where Redis has kept it',
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
    id: 'self-sees-nothing',
    bug: 'a key that asks what is left is told that nothing was spent, after Redis has lost what was',
    edits: [
      {
        file: 'proxy/counters/scripts/peek-script.ts',
        find: 'known.epoch !== toEpochText(store.epochOf(tagOf(keyId)))',
        replace: "known.epoch === '-'",
      },
    ],
    test: {
      file: 'test/redis/budgets.test.ts',
      name: 'spend that Redis has lost > is told to who only asks what is left, as to a request: never that nothing was spent',
    },
  },
  {
    id: 'self-in-any-life',
    bug: 'a key that asks what is left is told that nothing was used, after Redis was emptied',
    edits: [{ file: 'proxy/counters/scripts/peek.lua', find: "if known_life ~= '' and", replace: 'if false and' }],
    test: {
      file: 'proxy/counters/redis-life.test.ts',
      name: 'a Redis that is emptied without a restart > tells who only looks what was let in, and not that nothing was',
    },
  },
  {
    id: 'life-ends-in-the-queue',
    bug: 'a request that waits to be sent when the store is found emptied is asked in its new life before that was told of the old one',
    edits: [
      {
        file: 'proxy/counters/shared-counters.ts',
        find: 'while (lives.settling(tag) !== undefined) await lives.settling(tag);',
        replace: '',
      },
    ],
    test: {
      file: 'proxy/counters/another-life.test.ts',
      name: 'asks nothing in a new life before that was told of the old one, also for a request that came in the turn in which it is heard of',
    },
  },
  {
    id: 'life-told-too-soon',
    bug: 'what was admitted in the turn in which the store is found emptied is lost with it',
    edits: [
      {
        file: 'proxy/counters/shared-counters.ts',
        find: 'await new Promise((resolve) => setImmediate(resolve));',
        replace: '',
      },
    ],
    test: {
      file: 'proxy/counters/another-life.test.ts',
      name: 'tells also of the request whose answer arrived together with the name of the new life',
    },
  },
  {
    id: 'near-in-batches',
    bug: 'near a limit what a request gives back is told in a batch, so that its client is refused for it by another proxy',
    edits: [{ file: 'proxy/counters/shared-counters.ts', find: 'if (near.isAwaited(known) &&', replace: 'if (false &&' }],
    test: {
      file: 'proxy/counters/redis-sequential.test.ts',
      name: 'a client whose next request reaches another proxy > is not refused by its own former one: tokens',
    },
  },
  {
    id: 'far-at-once',
    bug: 'what requests give back is told one by one however far their limits are',
    edits: [{ file: 'proxy/counters/shared-counters.ts', find: 'if (near.isAwaited(known) &&', replace: 'if (' }],
    test: {
      file: 'proxy/counters/redis-sequential.test.ts',
      name: 'a client whose next request reaches another proxy > costs Redis nothing more while its limits are far',
    },
  },
  {
    id: 'former-not-told',
    bug: 'what one proxy alone had heard of the spend is lost when it comes back after the budget was opened by another',
    edits: [
      { file: 'proxy/counters/shared-counters.ts', find: '[...fallback.take(), ...budgets.takeFormer()]', replace: 'fallback.take()' },
    ],
    test: {
      file: 'proxy/counters/redis-lost-spend.test.ts',
      name: 'what one proxy alone had heard of is added when it comes back after the budget was opened by another, and once',
    },
  },
  {
    id: 'former-added-again',
    bug: 'the spend of a life before is added as often as it is told',
    edits: [
      {
        file: 'proxy/counters/scripts/budget-scripts.ts',
        find: "if open then redis.call('HSET', KEYS[1], 'b' .. field, ARGV[position + 1]) end",
        replace: '',
      },
    ],
    test: {
      file: 'test/redis/budget-scripts.test.ts',
      name: 'what is told of the life before is in the maximum while nothing is opened, and added as far as it is more than that afterwards, once',
    },
  },
  {
    id: 'former-after-reset',
    bug: 'the spend of a life before is added to a budget that was reset since',
    edits: [
      {
        file: 'runtime/budget-restore.ts',
        find: "    redis.call('HSET', KEYS[1], 'b' .. ARGV[position], '9007199254740991')\n",
        replace: '',
      },
    ],
    test: {
      file: 'test/redis/budget-scripts.test.ts',
      name: 'what is told of the life before adds nothing to a budget that was reset, nor to one that a proxy without bases has opened',
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
    id: 'idle-does-not-look',
    bug: 'a proxy without admissions does not notice that the store was emptied',
    edits: [
      {
        file: 'proxy/counters/store/store-lives.ts',
        find: 'setInterval(tick, lookEveryMs)',
        replace: 'setInterval(() => {}, lookEveryMs, tick)',
      },
    ],
    test: {
      file: 'proxy/counters/redis-life.test.ts',
      name: 'a Redis that is emptied without a restart > is told by every proxy what it had let in, also by those that are idle, before anything is decided anew',
    },
  },
  {
    id: 'breaker-for-all',
    bug: 'one silent master of a cluster takes the limits of the keys on all others with it',
    edits: [
      {
        file: 'proxy/counters/store/store-nodes.ts',
        find: 'decides: (tag) => nodeOf(tag).decides,',
        replace: 'decides: () => !isDegraded(),',
      },
    ],
    test: {
      file: 'proxy/counters/redis-one-master.test.ts',
      name: 'one of three masters that hangs concerns its own keys alone: by their share, told of, and made up for when it answers again',
    },
  },
  {
    id: 'line-for-all',
    bug: 'what ends at one silent master of a cluster holds up the settlements of the keys on all others',
    edits: [
      {
        file: 'proxy/counters/store/store-sender.ts',
        find: 'placeOf: (tag) => settlements.placeOf(tag),',
        replace: "placeOf: () => 'all',",
      },
    ],
    test: {
      file: 'proxy/counters/redis-one-master.test.ts',
      name: 'what ends at a master that hangs holds up nothing of what ends on the others',
    },
  },
  {
    id: 'one-lane',
    bug: 'while something of one key is on its way, nothing of any other is sent',
    edits: [
      {
        file: 'proxy/counters/store/settlement-queue.ts',
        find: 'lane.sending === undefined && isMeant(lane))',
        replace: '[...lanes.values()].every(({ sending }) => sending === undefined) && isMeant(lane))',
      },
    ],
    test: {
      file: 'proxy/counters/store/settlement-queue.test.ts',
      name: 'the settlement queue > a place that does not answer > holds up its own lanes alone',
    },
  },
  {
    id: 'unread-is-forgotten',
    bug: 'revocations that cannot be read because their master is away count as taken away',
    edits: [{ file: 'operator/revocation/revocations.ts', find: ' && !unread.has(tagOf(revocation.keyId))', replace: '' }],
    test: {
      file: 'operator/revocation/revocations.test.ts',
      name: 'a part of Redis that is away > hides what stands there and nothing else: what is known of it counts on, and what was missed is caught up with',
    },
  },
  {
    id: 'revocations-in-one-line',
    bug: 'a revocation that a silent master does not take holds up those of all other keys',
    edits: [
      {
        file: 'operator/revocation/revocations.ts',
        find: 'Map.groupBy(this.#unwritten, ([, { keyId }]) => tagOf(keyId))',
        replace: "Map.groupBy(this.#unwritten, () => '')",
      },
    ],
    test: {
      file: 'operator/revocation/revocations.test.ts',
      name: 'a part of Redis that is away > holds up no revocation of another key, not even where it never answers',
    },
  },
  {
    id: 'returns-untold',
    bug: 'a master that returns decides before it is told what was decided without it',
    edits: [
      { file: 'proxy/counters/store/node-presence.ts', find: 'else if (decides !== true) comeBack();', replace: "else change(true, '');" },
    ],
    test: {
      file: 'proxy/counters/redis-one-master.test.ts',
      name: 'of two masters that are away the one that returns first is told at once and decides, whatever becomes of the other',
    },
  },
  {
    id: 'usage-all-or-nothing',
    bug: 'one master of a cluster that is away keeps the usage of all keys from being read',
    edits: [
      {
        file: 'operator/usage/redis-usage-source.ts',
        find: 'if (answered.length === 0 && refused !== undefined) throw refused;',
        replace: "if (answered.length < questions.length) throw refused ?? new Error('away');",
      },
    ],
    test: {
      file: 'test/redis/usage-cluster.test.ts',
      name: 'usage of keys on the other masters is read and written down while one is away, also by a new leader; what came meanwhile counts once when it is back',
    },
  },
  {
    id: 'checkpoint-all-or-nothing',
    bug: 'a key whose master is away keeps its whole checkpoint from being written',
    edits: [
      { file: 'operator/usage/checkpoint-writer.ts', find: 'else plan.touched.add(keyId);', replace: 'else throw new Error(keyId);' },
    ],
    test: {
      file: 'test/redis/usage-cluster.test.ts',
      name: 'usage of keys on the other masters is read and written down while one is away, also by a new leader; what came meanwhile counts once when it is back',
    },
  },
  {
    id: 'pipeline-unsplit',
    bug: 'commands for several masters of a cluster all go to that of the first',
    edits: [
      {
        file: 'runtime/redis-cluster.ts',
        find: 'const key = keyOf(command) ?? first;',
        replace: 'const key = first;',
      },
      {
        file: 'runtime/redis-cluster.ts',
        find: 'if (redirection === undefined) return undefined;',
        replace: 'return undefined;',
      },
    ],
    test: {
      file: 'test/redis/cluster.test.ts',
      name: 'commands on many nodes > are split by node, and each answer is in the place of its command',
    },
  },
  {
    id: 'moved-not-followed',
    bug: 'a command whose tag has moved to another master is not sent there',
    edits: [
      {
        file: 'runtime/redis-cluster.ts',
        find: 'return { asking: redirection.asking, from, to };',
        replace: 'return redirection.asking ? { asking: true, from, to } : undefined;',
      },
    ],
    test: {
      file: 'test/redis/cluster.test.ts',
      name: 'a tag that moves to another master > is asked for where it is; what was decided by the epoch of the former one is refused, not sent on',
    },
  },
  {
    id: 'ask-ignored',
    bug: 'a key that is on its way to another master is asked for there without ASKING',
    edits: [
      {
        file: 'runtime/redis-cluster.ts',
        find: "if (redirection.asking) again.push({ position: -1, command: ['ASKING'], member: redirection.to });",
        replace: '',
      },
    ],
    test: {
      file: 'test/redis/cluster.test.ts',
      name: 'a tag that moves to another master > is asked for where it is; what was decided by the epoch of the former one is refused, not sent on',
    },
  },
  {
    id: 'epoch-kept',
    bug: 'the epoch of a master that failed is taken for that of its successor',
    edits: [
      {
        file: 'runtime/redis-node.ts',
        find: "epoch = readField(replication, 'master_replid');",
        replace: "epoch ||= readField(replication, 'master_replid');",
      },
    ],
    test: {
      file: 'test/redis/failover.test.ts',
      name: 'a failover > by Sentinels: no more is admitted than the limit and the writes that it lost, without a restart',
    },
  },
  {
    id: 'share-whole',
    bug: 'the share of a proxy while Redis is away is not less by what it has admitted already',
    edits: [
      {
        file: 'proxy/counters/outage/local-share.ts',
        find: 'book: (admission, timeMs) => store.book(withoutMoney(admission), timeMs),',
        replace: 'book: () => {},',
      },
    ],
    test: {
      file: 'proxy/counters/redis-faults.test.ts',
      name: 'Redis counters when Redis fails > LocalShare: ⌈limit / replicas⌉ less what this proxy has admitted in the last window, through Redis too',
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

  // Bodies
  {
    id: 'form-second-model',
    bug: 'a second part "model" of a form is accepted, of which the provider may read the other one',
    edits: [{ file: 'proxy/bodies/multipart-scan.ts', find: 'if (seen.has(name)) return', replace: 'if (false) return' }],
    test: { file: 'proxy/bodies/multipart-scan.test.ts', name: 'scanMultipart > refuses a second model and names the param' },
  },
  {
    id: 'form-model-file',
    bug: 'a part "model" with a file name counts as a text, which other readers take for a file',
    edits: [
      { file: 'proxy/bodies/multipart-scan.ts', find: 'if (fileName !== undefined) return fault', replace: 'if (false) return fault' },
    ],
    test: { file: 'proxy/bodies/multipart-scan.test.ts', name: 'scanMultipart > refuses a model with a file name and names the param' },
  },
  {
    id: 'form-hidden-name',
    bug: 'a quote that a backslash hides ends the file name, and what follows it is read as the name',
    edits: [{ file: 'proxy/bodies/part-headers.ts', find: "if (quoted?.endsWith('\\\\') === true) return", replace: 'if (false) return' }],
    test: { file: 'proxy/bodies/multipart-scan.test.ts', name: 'scanMultipart > refuses a name hidden behind an escaped quote' },
  },
  {
    id: 'form-loose-boundary',
    bug: 'a boundary after a bare line feed is taken for text, where other readers begin a part',
    edits: [{ file: 'proxy/bodies/multipart-scan.ts', find: "toString('latin1') === lineBreak;", replace: "toString('latin1') !== '';" }],
    test: { file: 'proxy/bodies/multipart-scan.test.ts', name: 'scanMultipart > refuses a boundary after a bare line feed' },
  },
  {
    id: 'form-splice-boundary',
    bug: 'the splice of the model swallows the line break before the next boundary',
    edits: [{ file: 'proxy/bodies/multipart-scan.ts', find: 'to: part.valueEnd, text }', replace: 'to: part.valueEnd + 2, text }' }],
    test: {
      file: 'proxy/bodies/multipart-scan.test.ts',
      name: 'spliceMultipart > replaces the part and leaves every other byte as it is',
    },
  },
  {
    id: 'body-room-kept',
    bug: 'a body that was refused or forwarded keeps its room for ever',
    edits: [{ file: 'proxy/bodies/read-body.ts', find: '      budget.give(taken);\n', replace: '' }],
    test: {
      file: 'proxy/intake/intake.test.ts',
      name: 'bodies > that do not fit into the process together are refused for a while, and leave their room',
    },
  },
  {
    id: 'body-held-by-stream',
    bug: 'a stream keeps the room of its request to its end',
    edits: [{ file: 'proxy/stages/forward.ts', find: 'onTaken: () => letGo(exchange, ready.body)', replace: 'onTaken: () => {}' }],
    test: {
      file: 'test/dataplane/body-memory.test.ts',
      name: 'the room for bodies > is given back when the provider has the body and its answer has begun, not at the end of the stream',
    },
  },
  {
    id: 'body-parsed-kept',
    bug: 'what a body was parsed to is held beside it while a provider thinks, by a closure that needs none of it',
    edits: [
      {
        file: 'proxy/bodies/request-body.ts',
        find: 'return toKeptJson(shrinkBody(',
        replace: 'return ((kept: KeptJson): RequestBody => ({ ...toKeptJson(kept), mayHold: () => body.members.length > 0 }))(shrinkBody(',
      },
    ],
    test: {
      file: 'test/dataplane/body-memory.test.ts',
      name: 'what a proxy holds of a body on its way > is each of 8 chats of 2 MiB once while they wait for their answers',
    },
  },
  {
    id: 'body-joined-kept',
    bug: 'a body is held twice while a provider thinks, in the pieces it came in and put together',
    edits: [
      {
        file: 'proxy/bodies/request-body.ts',
        find: '      joined.drop();\n      return toKeptJson(',
        replace: '      Object.assign(bytes, { joined });\n      return toKeptJson(',
      },
    ],
    test: {
      file: 'test/dataplane/body-memory.test.ts',
      name: 'what a proxy holds of a body on its way > is each of 8 chats of 2 MiB once while they wait for their answers',
    },
  },
  {
    id: 'form-boundary-in-model',
    bug: 'the name of a model that holds the boundary is spliced in, and the form breaks there',
    edits: [
      { file: 'proxy/bodies/multipart-scan.ts', find: 'return !text.includes(`--${boundary}`);', replace: 'return boundary !== text;' },
    ],
    test: {
      file: 'proxy/intake/intake-forms.test.ts',
      name: 'a form > whose boundary stands in the provider’s name of the model is refused, and does not tell that name',
    },
  },
  {
    id: 'form-lookalike',
    bug: 'a part "Model" or "model[]" is nobody’s, although some servers take it for the model',
    edits: [
      { file: 'proxy/bodies/multipart-scan.ts', find: 'if (decidingNames.has(first)) return first;', replace: '' },
      {
        file: 'proxy/bodies/multipart-scan.ts',
        find: 'return segments.find((segment) => modelNames.has(segment));',
        replace: 'return undefined;',
      },
    ],
    test: { file: 'proxy/bodies/multipart-scan.test.ts', name: 'scanMultipart > refuses a part model[] and names the param' },
  },
  {
    id: 'transcript-believed',
    bug: 'a transcript in plain text that looks like JSON says itself what it costs',
    edits: [{ file: 'proxy/dialects/openai/transcript-meter.ts', find: 'const scan = isJson ?', replace: 'const scan = isJson || true ?' }],
    test: {
      file: 'proxy/dialects/openai/transcripts.test.ts',
      name: 'POST /v1/audio/transcriptions > in the format text passes as it comes and is charged by the size of the recording (3)',
    },
  },
  {
    id: 'refused-hung-up',
    bug: 'a client that is refused while it sends for longer than two seconds loses its refusal',
    edits: [
      {
        file: 'proxy/answers/answer.ts',
        find: "request.on('error', () => {}).on('data', () => timers[0]?.refresh());",
        replace: "request.on('error', () => {});",
      },
    ],
    test: {
      file: 'proxy/intake/intake-forms.test.ts',
      name: 'a refusal while 30 MiB are being sent > is read by a client that is slow, and reads nothing before it has sent all',
    },
  },
  {
    id: 'body-block-kept',
    bug: 'a few bytes of a body keep the block alive in which they came, which no bound counts',
    edits: [{ file: 'proxy/bodies/read-body.ts', find: 'chunks.push(toOwn(chunk));', replace: 'chunks.push(chunk);' }],
    test: {
      file: 'proxy/bodies/read-body.test.ts',
      name: 'a few bytes out of a large block are kept without the block, which the bounds do not count',
    },
  },

  // What a client may see
  {
    id: 'usage-shown',
    bug: 'the usage chunk that only the gateway asked for reaches the client (meter)',
    edits: [{ file: 'proxy/dialects/openai/stream-meter.ts', find: 'return !isUsageChunk;', replace: 'return true;' }],
    test: {
      file: 'proxy/dialects/openai/stream-meter.test.ts',
      name: 'what is withheld > is the usage chunk, also in the middle of one network chunk',
    },
  },
  {
    id: 'usage-shown-stream',
    bug: 'the usage chunk that only the gateway asked for reaches the client (pipeline)',
    edits: [
      {
        file: 'proxy/stages/forward.ts',
        find: 'withholdUsage: required(exchange.driver).withholdsUsage(exchange.surface, required(exchange.shape))',
        replace: 'withholdUsage: false',
      },
    ],
    test: { file: 'proxy/streams/stream.test.ts', name: 'a stream > asks for usage behind the client, keeps the chunk back and books it' },
  },
  {
    id: 'upstream-401',
    bug: "a provider's 401, which is about our credential, is passed on to the client",
    edits: [{ file: 'proxy/upstream/upstream-failure.ts', find: "401: 'credentialDead',", replace: "401: 'requestFault'," }],
    test: { file: 'proxy/pipeline.test.ts', name: 'headers > no secret is ever logged or counted' },
  },
  {
    id: 'second-channel',
    bug: 'another channel is tried after the first byte has reached the client',
    edits: [
      {
        file: 'proxy/attempts/attempt.ts',
        find: "if (this.#phase === 'passing') return this.#passOn({ pieces: [] }, () => this.#breakOff(isTimeout",
        replace: 'if (false) return this.#passOn({ pieces: [] }, () => this.#breakOff(isTimeout',
      },
    ],
    test: {
      file: 'proxy/streams/stream.test.ts',
      name: 'of which a byte has reached the client goes on at no other channel, however it ends',
    },
  },
  {
    id: 'half-event-shown',
    bug: 'a client sees half an event of a stream that breaks off, and its SDK fails at it',
    edits: [{ file: 'proxy/answers/client-answer.ts', find: 'this.#events.push(pieces)', replace: 'pieces' }],
    test: {
      file: 'proxy/streams/stream.test.ts',
      name: 'a stream > that the provider breaks off inside an event ends with whole events, the error among them',
    },
  },
  {
    id: 'refused-with-408',
    bug: 'a refusal has the status 408, which SDKs repeat against our will',
    edits: [{ file: 'core/refusals.ts', find: 'status: 504,', replace: 'status: 408,' }],
    test: {
      file: 'core/refusal-answer.test.ts',
      name: 'the table of refusals > never has a status that SDKs retry against our will, and no 401 or 403 for trouble of the infrastructure',
    },
  },
  {
    id: 'outage-as-401',
    bug: 'an unknown key is a 401 although the list of keys may be stale',
    edits: [{ file: 'proxy/stages/authenticate.ts', find: '|| parts.index.disconnectedMs() > staleAfterMs', replace: '' }],
    test: { file: 'proxy/pipeline.test.ts', name: 'keys > an unknown key is no 401 while the snapshot may be stale' },
  },

  // What a client may send
  {
    id: 'doubled-model',
    bug: 'a second "model" in the body is accepted, of which the provider may read the other one',
    edits: [{ file: 'proxy/bodies/json-scan.ts', find: 'if (seen.has(folded)) return', replace: 'if (false) return' }],
    test: { file: 'proxy/bodies/json-scan.test.ts', name: 'scanJson > refuses a doubled model and names the param' },
  },
  {
    id: 'encoded-slash',
    bug: 'a %2f in the path is accepted, which a router and a provider read differently',
    edits: [{ file: 'proxy/intake/target.ts', find: '/%(?:2f|5c)/i.test(path) ||', replace: '' }],
    test: { file: 'proxy/intake/target.test.ts', name: 'parseTarget > refuses "/v1/chat%2fcompletions"' },
  },
  {
    id: 'model-of-a-tool',
    bug: 'a model that is named inside a tool or among fallbacks is not checked against the key',
    edits: [{ file: 'proxy/stages/authorize.ts', find: '[model, ...otherModels]', replace: '[model]' }],
    test: { file: 'proxy/intake/intake.test.ts', name: 'bodies > with one inside a tool are no way round' },
  },
  {
    id: 'expiry-ignored',
    bug: 'an expired key goes on working',
    edits: [
      { file: 'core/authorize.ts', find: 'expiresAt !== undefined && nowMs >= expiresAt', replace: 'expiresAt !== undefined && false' },
    ],
    test: {
      file: 'core/authorize.test.ts',
      name: 'checkStanding > of a key that is expired this millisecond: { expiresAt: 1000000 } {} → key_expired',
    },
  },
  {
    id: 'overlap-ignored',
    bug: 'a rotated key goes on working after its overlap',
    edits: [
      {
        file: 'core/authorize.ts',
        find: 'if (notAfter === undefined || nowMs < notAfter)',
        replace: "if (credential.state === 'Retiring' || notAfter === undefined || nowMs < notAfter)",
      },
    ],
    test: {
      file: 'core/authorize.test.ts',
      name: "checkStanding > of a key that is behind its overlap: {} { state: 'Retiring', notAfter: 1000000 } → key_expired",
    },
  },

  // Surfaces of OpenAI, and who else speaks its language
  {
    id: 'pick-checked-unpicked',
    bug: 'access is checked for the name as it was written and not for the one that is used',
    edits: [
      {
        file: 'proxy/stages/authorize.ts',
        find: '({ key, exchange }) => checkNamed(key, required(exchange.shape))',
        replace:
          '({ key, exchange }) => checkNamed(key, { ...required(exchange.shape), model: String(required(exchange.body).value["model"]) })',
      },
    ],
    test: {
      file: 'proxy/stages/pick-channel.test.ts',
      name: 'channel/model > asks that channel for the plain name, which is checked, counted and sent',
    },
  },
  {
    id: 'pick-beyond-key',
    bug: 'a Channel that is asked for by name is used although the key may not use it',
    edits: [
      {
        file: 'core/pick-channel.ts',
        find: 'findNamed(usable, model.slice(0, slash)',
        replace: 'findNamed(channels, model.slice(0, slash)',
      },
    ],
    test: { file: 'core/pick-channel.test.ts', name: 'pickChannels > takes a Channel that the key may not use' },
  },
  {
    id: 'version-twice',
    bug: 'a base URL that ends in its version gets another one',
    edits: [{ file: 'proxy/upstream/upstream-path.ts', find: 'endsInVersion.test(prefix) ?', replace: 'prefix === "/" ?' }],
    test: {
      file: 'proxy/upstream/upstream-path.test.ts',
      name: 'the base URL of a Channel > https://host/v1 is continued as /v1/chat/completions',
    },
  },
  {
    id: 'completions-usage-shown',
    bug: 'a client of the older completions gets a usage chunk that only the gateway has asked for',
    edits: [
      {
        file: 'proxy/dialects/openai/completions.ts',
        find: 'withholdsUsage: withholdsStreamUsage',
        replace: 'withholdsUsage: () => false',
      },
    ],
    test: {
      file: 'proxy/dialects/openai/completions.test.ts',
      name: 'POST /v1/completions > asks for the usage of a stream and keeps from the client what it did not ask for',
    },
  },
  {
    id: 'default-of-others',
    bug: 'the sixteen tokens at which OpenAI stops bound the answers of servers that do not stop',
    edits: [
      {
        file: 'proxy/reservations/output-bound.ts',
        find: "channel.provider !== 'OpenAICompatible'",
        replace: "channel.provider !== 'Gemini'",
      },
    ],
    test: {
      file: 'proxy/dialects/openai/completions.test.ts',
      name: 'POST /v1/completions > reserves the sixteen tokens that OpenAI stops at, and no such thing where the server keeps its own bound',
    },
  },
  {
    id: 'images-counted-zero',
    bug: 'images are counted as none',
    edits: [{ file: 'proxy/dialects/openai/media-meter.ts', find: '{ ...counts, images: made }', replace: '{ ...counts, images: 0 }' }],
    test: {
      file: 'proxy/dialects/openai/images.test.ts',
      name: 'POST /v1/images/generations > costs its images where the Channel prices those, its tokens where those have a price, and never nothing',
    },
  },
  {
    id: 'images-unreserved',
    bug: 'a budget is asked for no room for the images of a request',
    edits: [{ file: 'proxy/reservations/fix-prices.ts', find: '    counts: required(shape).counts,\n', replace: '' }],
    test: {
      file: 'proxy/dialects/openai/images.test.ts',
      name: 'POST /v1/images/generations > is refused while a budget does not hold all images that are asked for',
    },
  },
  {
    id: 'nested-model-unchecked',
    bug: 'the model that draws an SVG is not checked against the key',
    edits: [
      {
        file: 'proxy/dialects/openai/images.ts',
        find: "const parts = ['svg', 'prompt_rewriter'];",
        replace: 'const parts: string[] = [];',
      },
    ],
    test: {
      file: 'proxy/dialects/openai/images.test.ts',
      name: 'POST /v1/images/generations > needs the scope, and a model that the key may use, in every place that names one',
    },
  },
  {
    id: 'default-model-unsent',
    bug: 'a moderation that names no model is checked for one and answered by whichever the provider takes',
    edits: [
      {
        file: 'proxy/dialects/openai/moderations.ts',
        find: "return model === body['model'] ?",
        replace: "return model === (body['model'] ?? shape.model) ?",
      },
    ],
    test: {
      file: 'proxy/dialects/openai/moderations.test.ts',
      name: 'POST /v1/moderations > that names no model asks for the default: a key without a list',
    },
  },

  // Secrets
  {
    id: 'key-logged',
    bug: 'the key that a client presents is in its access line',
    edits: [
      { file: 'proxy/stages/record.ts', find: 'prefix: exchange.credential?.prefix', replace: 'prefix: exchange.presentedKey?.reveal()' },
    ],
    test: { file: 'proxy/pipeline.test.ts', name: 'headers > no secret is ever logged or counted' },
  },
  {
    id: 'credential-logged',
    bug: 'the credential of a provider is in a log line',
    edits: [
      {
        file: 'proxy/stages/forward.ts',
        find: 'exchange.attempts += 1;',
        replace: "exchange.attempts += 1;\n    parts.log.info({ credential: credential?.secret.reveal() }, 'attempt');",
      },
    ],
    test: { file: 'proxy/pipeline.test.ts', name: 'headers > no secret is ever logged or counted' },
  },
  {
    id: 'error-body-logged',
    bug: "a provider's error body, which may quote its credential, is in a log line",
    edits: [
      {
        file: 'proxy/attempts/attempt.ts',
        find: "if (verdict !== 'requestFault') return",
        replace: "this.#options.parts.log.warn({ body: body.toString() }, 'refused');\n    if (verdict !== 'requestFault') return",
      },
    ],
    test: { file: 'proxy/pipeline.test.ts', name: 'headers > no secret is ever logged or counted' },
  },
  {
    id: 'secret-printed',
    bug: 'a Secret that is logged by mistake is shown',
    edits: [
      {
        file: 'core/secret.ts',
        find: "toJSON(): string {\n    return '[secret]';",
        replace: 'toJSON(): string {\n    return this.#value;',
      },
    ],
    test: { file: 'runtime/log.test.ts', name: 'a Secret prints [secret] wherever it stands' },
  },
  {
    id: 'exception-logged',
    bug: 'an error that quotes an HTTP answer is logged whole',
    edits: [
      {
        file: 'runtime/log.ts',
        find: "carriesAnswer ? '(withheld: it may quote an HTTP answer)' : error.message",
        replace: 'error.message',
      },
    ],
    test: { file: 'runtime/log.test.ts', name: 'an error that carries an HTTP answer does not show it: as err' },
  },
  {
    id: 'key-forwarded',
    bug: 'a header that repeats the virtual key goes on to the provider',
    edits: [{ file: 'proxy/headers.ts', find: "if (presentedKey === '' || !value.includes(presentedKey))", replace: 'if (true)' }],
    test: { file: 'proxy/headers.test.ts', name: 'toUpstreamHeaders > never lets the key through, wherever it stands' },
  },
  {
    id: 'origin-forwarded',
    bug: 'a request of a browser says where its page comes from, and the 401 of Anthropic takes the credential from everybody',
    edits: [{ file: 'proxy/headers.ts', find: "  'origin',\n", replace: '' }],
    test: {
      file: 'proxy/headers.test.ts',
      name: 'toUpstreamHeaders > drops what browsers say of themselves: Anthropic refuses it as if the credential were dead',
    },
  },
  {
    id: 'plaintext-stored',
    bug: 'the plaintext of an issued key is kept as its display prefix, and so stands in status and snapshot',
    edits: [{ file: 'operator/credentials/issue-key.ts', find: 'prefix: toDisplayPrefix(text)', replace: 'prefix: text' }],
    test: { file: 'operator/operator.test.ts', name: 'a generated key > is stored in plaintext nowhere but in the delivery Secret' },
  },

  // Issuing
  {
    id: 'deliver-before-publish',
    bug: 'the delivery Secret is written before the hash is published: its reader is refused',
    edits: [
      {
        file: 'operator/translate/generate.ts',
        find: '|| !isPublished) return {};',
        replace:
          "|| !isPublished) return { delivery: { mode: delivery === undefined ? 'create' : 'replace', keyHash: pending.hash, layout } };",
      },
    ],
    test: {
      file: 'operator/operator.test.ts',
      name: 'a generated key > is published, and stays so for the settle time, before anybody can read it',
    },
  },
  {
    id: 'settle-time-skipped',
    bug: 'the delivery Secret is written before every proxy can have the hash',
    edits: [{ file: 'operator/translate/generate.ts', find: 'if (nowMs < settledMs) return', replace: 'if (false) return' }],
    test: {
      file: 'operator/operator.test.ts',
      name: 'a generated key > is published, and stays so for the settle time, before anybody can read it',
    },
  },
  {
    id: 'planted-value-adopted',
    bug: 'a value that somebody puts into the delivery Secret becomes a key',
    edits: [
      {
        file: 'operator/translate/generate.ts',
        find: 'const current = endOverdue(record.credentials, nowMs, toHeldHash(input.delivery, layout, record.credentials));',
        replace:
          "const seen = Object.values(input.delivery?.entries ?? {}).slice(0, 1).filter((hash) => !record.credentials.some((known) => known.hash === hash)).map((hash) => ({ hash, prefix: '', state: 'Pending' as const, createdAt: nowMs, until: nowMs + pendingMs }));\n  const current = endOverdue([...record.credentials, ...seen], nowMs, undefined);",
      },
    ],
    test: {
      file: 'operator/operator.test.ts',
      name: 'a generated key > never takes over a planted Secret: the value is not accepted and a new key is issued',
    },
  },
  {
    id: 'planted-secret-adopted',
    bug: 'a Secret that was there before, and is nobody’s, is taken for our own',
    edits: [
      {
        file: 'operator/credentials/delivery-secret.ts',
        find: "if (owner === undefined || owner.kind !== 'VirtualKey'",
        replace: "if (owner === undefined) return 'this';\n  if (owner.kind !== 'VirtualKey'",
      },
    ],
    test: {
      file: 'operator/operator.test.ts',
      name: 'a generated key > does not adopt a Secret that was there before, whoever it claims to belong to',
    },
  },
  {
    id: 'foreign-pending-removed',
    bug: 'an operator removes the unexpired attempt of another one, which may have been delivered by now',
    edits: [
      {
        file: 'operator/translate/generate.ts',
        find: 'credentials: [...credentials, toPending(step)]',
        replace: "credentials: [...credentials.filter(({ state }) => state !== 'Pending'), toPending(step)]",
      },
    ],
    test: golden('generate-foreign-pending.in.yaml'),
  },
  {
    id: 'trigger-forgotten',
    bug: 'a trigger that comes during an unfinished rotation counts as handled by it',
    edits: [
      {
        file: 'operator/translate/generate.ts',
        find: 'handledTrigger: delivered.trigger,',
        replace: 'handledTrigger: input.virtualKey.spec.rotation?.trigger,',
      },
    ],
    test: golden('rotate-4-adopt.in.yaml'),
  },
  {
    id: 'three-live-keys',
    bug: 'a rotation inside an overlap leaves the oldest key alive',
    edits: [
      {
        file: 'operator/translate/generate.ts',
        find: 'return replaced === undefined ? credential : [];',
        replace: 'return credential;',
      },
    ],
    test: golden('rotate-4-adopt.in.yaml'),
  },
  {
    id: 'removal-rotates',
    bug: 'a trigger that is taken out of the manifest rotates the key',
    edits: [
      {
        file: 'operator/translate/rotation.ts',
        find: 'trigger !== undefined && trigger !== record.handledTrigger',
        replace: 'trigger !== record.handledTrigger',
      },
    ],
    test: golden('rotate-trigger-removed.in.yaml'),
  },
  {
    id: 'redacted-is-tampered',
    bug: 'that the plaintext was taken out is not remembered, so the emptied Secret counts as tampered and a new key is minted',
    edits: [
      {
        file: 'operator/translate/generate.ts',
        find: "credentials.find(({ state, redactedAt }) => state === 'Active' && redactedAt !== undefined)",
        replace: 'undefined',
      },
    ],
    test: {
      file: 'operator/rotation.test.ts',
      name: 'redactAfter > takes the plaintext out so long after it was written, mints nothing, and tells it once',
    },
  },
  {
    id: 'hash-leaves-unfiled',
    bug: 'a revoked hash leaves its record before it is stored among those of all keys',
    edits: [
      {
        file: 'operator/translate/lifecycle.ts',
        find: 'const kept = record.revokedHashes.filter((hash) => !claims.isFiled(hash));',
        replace: 'const kept: string[] = [];',
      },
    ],
    test: {
      file: 'operator/credentials/revoked-hashes.test.ts',
      name: 'revoked hashes > that a stopped filing left behind are filed by the next operator, none is lost at any write',
    },
  },
  {
    id: 'shard-shrinks',
    bug: 'a shard of revoked hashes that somebody has emptied is believed',
    edits: [
      {
        file: 'operator/credentials/revoked-hashes.ts',
        find: 'const before = this.#shards.get(shard.number)?.hashes ?? none;',
        replace: 'const before = none;',
      },
    ],
    test: {
      file: 'operator/credentials/revoked-hashes.test.ts',
      name: 'revoked hashes > are written again when their Secret is removed, emptied or set back while an operator runs',
    },
  },
  {
    id: 'lost-shard-empty',
    bug: 'a missing shard of revoked hashes counts as an empty one',
    edits: [
      {
        file: 'operator/credentials/revoked-hashes.ts',
        find: 'if (!this.#synced || this.#shards.has(number)) return false;',
        replace: 'if (this.#synced) return false;',
      },
    ],
    test: {
      file: 'operator/credentials/revoked-hashes.test.ts',
      name: 'revoked hashes > whose Secret was lost while nobody looked are told, nothing is taken anew, and what was accepted goes on',
    },
  },
  {
    id: 'foreign-hash-barred',
    bug: 'a key that has only written down the hash of another one bars it by being revoked',
    edits: [
      {
        file: 'operator/translate/lifecycle.ts',
        find: 'const own = record.credentials.filter(({ hash }) => claims === undefined || isFirstOwner(claims, record, hash));',
        replace: 'const own = record.credentials;',
      },
    ],
    test: { file: 'operator/credentials/revoked-hashes.test.ts', name: 'revoked hashes > are barred only by the key that owned them' },
  },
  {
    id: 'tombstone-forgets-generation',
    bug: 'a key that is made anew after its tombstone has gone begins at the first generation',
    edits: [
      {
        file: 'operator/housekeeping.ts',
        find: 'await revoked.raiseFirstGeneration(Math.max(0, ...removable.map(({ gen }) => gen)));',
        replace: '',
      },
    ],
    test: {
      file: 'operator/credentials/revoked-hashes.test.ts',
      name: 'a tombstone > stays for its time and goes when its hashes are filed; the name begins above it, and nothing of it is accepted',
    },
  },
  {
    id: 'tombstone-takes-hashes',
    bug: 'a tombstone goes before its revoked hashes are filed',
    edits: [
      {
        file: 'operator/housekeeping.ts',
        find: 'overdue.filter(({ revokedHashes }) => revokedHashes.every((hash) => revoked.isFiled(hash)))',
        replace: 'overdue',
      },
    ],
    test: { file: 'operator/credentials/revoked-hashes.test.ts', name: 'a tombstone > does not go while its hashes cannot be filed' },
  },
  {
    id: 'interleaved-publish-after-deliver',
    bug: 'a key is delivered before it is published',
    edits: [
      {
        file: 'operator/translate/generate.ts',
        find: 'if (published?.atMs === undefined || !isPublished) return {};',
        replace:
          "if (published?.atMs === undefined || !isPublished) return { delivery: { mode: delivery === undefined ? 'create' : 'replace', keyHash: pending.hash, layout } };",
      },
    ],
    test: interleavings,
  },
  {
    id: 'interleaved-planted-adopted',
    bug: 'a planted value becomes a key',
    edits: [
      {
        file: 'operator/translate/generate.ts',
        find: 'const current = endOverdue(record.credentials, nowMs, toHeldHash(input.delivery, layout, record.credentials));',
        replace:
          "const seen = Object.values(input.delivery?.entries ?? {}).slice(0, 1).filter((hash) => !record.credentials.some((known) => known.hash === hash)).map((hash) => ({ hash, prefix: '', state: 'Pending' as const, createdAt: nowMs, until: nowMs + pendingMs })); const current = endOverdue([...record.credentials, ...seen], nowMs, undefined);",
      },
    ],
    test: interleavings,
  },
  {
    id: 'interleaved-foreign-pending-dropped',
    bug: 'a successor drops what somebody else may have delivered by now',
    edits: [
      {
        file: 'operator/translate/generate.ts',
        find: 'credentials: [...credentials, toPending(step)]',
        replace: "credentials: [...credentials.filter(({ state }) => state !== 'Pending'), toPending(step)]",
      },
    ],
    test: interleavings,
  },
  {
    id: 'interleaved-overlap-cut',
    bug: 'a rotated key ends at once',
    edits: [
      {
        file: 'operator/translate/generate.ts',
        find: 'if (credential === replaced) return endsAtOnce ? [] :',
        replace: 'if (credential === replaced) return endsAtOnce || nowMs > 0 ? [] :',
      },
    ],
    test: interleavings,
  },
  {
    id: 'foreign-pending-barred',
    bug: 'of two operators that both lead, the one that sees its key delivered bars what the other has under way',
    edits: [
      {
        file: 'operator/translate/generate.ts',
        find: 'return credential.attempt === input.attempt?.id ? [] : credential;',
        replace: 'return [];',
      },
    ],
    test: golden('generate-5-adopt-foreign.in.yaml'),
  },
  {
    id: 'follower-writes',
    bug: 'a process that has lost the lease goes on writing',
    edits: [{ file: 'operator/leadership/write-guard.ts', find: 'if (!mayWrite()) throw', replace: 'if (false) throw' }],
    test: {
      file: 'operator/leadership/write-guard.test.ts',
      name: 'a guarded cluster > refuses every write of a process that does not lead, and tells no Events',
    },
  },
  {
    id: 'follower-unguarded',
    bug: 'the operator writes past the guard that the lease gives it',
    edits: [
      {
        file: 'operator/operator.ts',
        find: 'toWriteGuarded(options.cluster, options.mayWrite ?? (() => true))',
        replace: 'toWriteGuarded(options.cluster, () => true)',
      },
    ],
    test: {
      file: 'operator/leadership/write-guard.test.ts',
      name: 'an operator whose lease has passed to another one while it was stopped > writes nothing over its successor, whatever still runs, and goes on when it leads again',
    },
  },
  {
    id: 'publish-before-record',
    bug: 'a hash is published before it is recorded, and is nobody’s after a crash',
    edits: [
      {
        file: 'operator/reconcile-key.ts',
        find: 'if (output.hashedSecret !== undefined) {',
        replace: 'publisher.setKey(id, output.record, { urgent: output.urgent });\n    if (output.hashedSecret !== undefined) {',
      },
    ],
    test: { file: 'operator/reconcile.test.ts', name: 'faults > a hash that could not be recorded is neither published nor delivered' },
  },
  {
    id: 'short-list-ends-keys',
    bug: 'a list that came back too short ends the keys that are missing from it',
    edits: [
      {
        file: 'operator/reconcile-key.ts',
        find: "return absences.isGone(`VirtualKey/${id}`) ? undefined : 'unknown';",
        replace: 'return undefined;',
      },
    ],
    test: {
      file: 'operator/reconcile.test.ts',
      name: 'faults > a key whose VirtualKey is missing from the list, but not deleted, is asked for before it ends',
    },
  },
  {
    id: 'hash-shared',
    bug: 'a hash that another key has recorded is taken as well, with that key’s limits or ours',
    edits: [
      {
        file: 'operator/translate/claim.ts',
        find: 'if (isFirstOwner(claims, record, hash)) return undefined;',
        replace: 'return undefined;',
      },
    ],
    test: {
      file: 'operator/reconcile.test.ts',
      name: 'brought hashes > belong to the key that recorded them first, also when two come at once',
    },
  },
  {
    id: 'claim-tie',
    bug: 'two keys that have recorded the same hash at the same moment both have it',
    edits: [
      {
        file: 'operator/translate/claim.ts',
        find: '(own.createdAt === owner.createdAt && record.uid < owner.uid)',
        replace: 'own.createdAt === owner.createdAt',
      },
    ],
    test: {
      file: 'operator/credentials/credential-store.test.ts',
      name: 'an operator > takes a hash from the key that has it when another turns out to have recorded it first',
    },
  },
  {
    id: 'rivals-forgotten',
    bug: 'a key whose hash turns out to belong to another one keeps it until something else happens to it',
    edits: [
      {
        file: 'operator/credentials/credential-store.ts',
        find: '[record.keyId, ...this.#rivals(before, after)]',
        replace: '[record.keyId]',
      },
    ],
    test: {
      file: 'operator/credentials/credential-store.test.ts',
      name: 'of two keys that have recorded the same hash > the other one is to be looked at when one comes, changes, lets go of the hash, or goes',
    },
  },
  {
    id: 'rivals-beside-watch',
    bug: 'that a hash belongs to another key is not acted on when it was read beside the watch',
    edits: [
      {
        file: 'operator/credentials/credential-store.ts',
        find: 'if (secret?.metadata.resourceVersion !== known) this',
        replace: 'if (known === undefined && secret === undefined) this',
      },
    ],
    test: {
      file: 'operator/credentials/credential-store.test.ts',
      name: 'of two keys that have recorded the same hash > the other one is looked at also when a record is found beside the watch',
    },
  },
  {
    id: 'delivered-unconfirmed',
    bug: 'a key is delivered over that of another leader, of which the watch has not told yet',
    edits: [
      {
        file: 'operator/reconcile-key.ts',
        find: 'if (await this.#options.watches.credentials.confirm(id)) await',
        replace: 'await',
      },
    ],
    test: {
      file: 'operator/credentials/credential-store.test.ts',
      name: 'an operator > does not write its own key over one that was delivered for the same wish, although the watch has not told of it',
    },
  },
  {
    id: 'refused-edit-taken',
    bug: 'an edit that is refused is in force all the same',
    edits: [
      {
        file: 'operator/translate/key.ts',
        find: 'if (problem === undefined) return { refused, toTell: wanted };',
        replace: 'if (problem !== null) return { refused, toTell: wanted };',
      },
    ],
    test: {
      file: 'operator/reconcile.test.ts',
      name: 'an edit that is not accepted > leaves the last accepted record in force until it is mended',
    },
  },

  // Revoking
  {
    id: 'revocation-undone',
    bug: 'a revoked key whose `revoked` is set back to false comes alive again',
    edits: [
      {
        file: 'operator/translate/lifecycle.ts',
        find: 'if (record.revokedAt !== undefined || (virtualKey',
        replace:
          'const { revokedAt, ...alive } = record;\n  if (revokedAt !== undefined && virtualKey.spec.revoked !== true) return { ...life, record: alive };\n  if (record.revokedAt !== undefined || (virtualKey',
      },
      // the snapshot remembers a revocation too
      { file: 'operator/translate/lifecycle.ts', find: "published.state === 'Revoked'", replace: 'false' },
    ],
    test: { file: 'operator/operator.test.ts', name: 'ends > revokes at once, for ever, and takes the plaintext out of the Secret' },
  },
  {
    id: 'revocation-restored-away',
    bug: 'a key is alive again when its hashed Secret comes back from a backup',
    edits: [{ file: 'operator/translate/lifecycle.ts', find: "published.state === 'Revoked'", replace: 'false' }],
    test: { file: 'operator/operator.test.ts', name: 'ends > stays revoked when the hashed Secret comes back from an older backup' },
  },
  {
    id: 'hash-taken-again',
    bug: 'a hash that was taken out of a key is accepted again when somebody writes it back',
    edits: [
      {
        file: 'operator/translate/claim.ts',
        find: 'if (claims.isRevoked(hash) || record.revokedHashes.includes(hash))',
        replace: 'if (false)',
      },
    ],
    test: {
      file: 'operator/reconcile.test.ts',
      name: 'brought hashes > are in force as written, and out of force at once when they are taken out',
    },
  },
  {
    id: 'expiry-not-published',
    bug: 'the proxies are not told when a key expires',
    edits: [{ file: 'operator/translate/key-record.ts', find: 'expiresAt: toExpiry(virtualKey),', replace: '' }],
    test: { file: 'operator/operator.test.ts', name: 'ends > reports expiry by itself and publishes the time beforehand' },
  },

  // Consent and rest
  {
    id: 'unlabelled-secret-read',
    bug: 'a Secret is read although its owner has not labelled it',
    edits: [
      {
        file: 'operator/translate/source-entries.ts',
        find: "return secret.metadata.labels?.[consentLabel] === 'true';",
        replace: 'return secret !== undefined;',
      },
      // the watch alone would hide it
      { file: 'operator/watches.ts', find: 'labelSelector: `${consentLabel}=true`', replace: 'labelSelector: undefined' },
    ],
    test: { file: 'operator/reconcile.test.ts', name: 'a key from a labelled Secret > is taken, follows the Secret, and needs the label' },
  },
  {
    id: 'unlabelled-secret-told',
    bug: 'the rules take the key of a Secret that its owner has not labelled',
    edits: [
      {
        file: 'operator/translate/source-entries.ts',
        find: "return secret.metadata.labels?.[consentLabel] === 'true';",
        replace: 'return secret !== undefined;',
      },
    ],
    test: golden('secret-ref-missing.in.yaml'),
  },
  {
    id: 'status-at-rest',
    bug: 'a status that has not changed is written again',
    edits: [
      { file: 'operator/reconcile-key.ts', find: 'if (isDeepStrictEqual(virtualKey.status, output.status.value)) return;', replace: '' },
    ],
    test: { file: 'operator/operator.test.ts', name: 'at rest > writes nothing, however often everything is looked at' },
  },
  {
    id: 'snapshot-at-rest',
    bug: 'a shard with equal content is written again',
    edits: [
      {
        file: 'operator/snapshot/snapshot-shards.ts',
        find: 'if (secret.isForeign || secret.revision !== revision) {',
        replace: 'if (shard.name !== "") {',
      },
      { file: 'operator/snapshot/snapshot-secret.ts', find: 'if (this.#known?.revision === revision) return;', replace: '' },
      // a key that stays as it is does not come so far otherwise
      {
        file: 'operator/snapshot/publish.ts',
        find: 'if (!isDeepStrictEqual(bucket.desired.get(id), record)) this.#set({ bucket, id, record,',
        replace:
          'const same = bucket.desired.get(id) as KeyRecord | undefined;\n    this.#set({ bucket, id, record: isDeepStrictEqual(same, record) ? same : record,',
      },
    ],
    test: { file: 'operator/operator.test.ts', name: 'at rest > writes nothing, however often everything is looked at' },
  },

  // Snapshot
  {
    id: 'removed-shard-ends-keys',
    bug: 'a snapshot Secret that somebody removes takes its keys with it',
    edits: [
      {
        file: 'proxy/snapshot/snapshot-index.ts',
        find: 'this.#inbox.removed(name);',
        replace:
          'const held = this.#held.get(name);\n    if (held !== undefined) this.#swap(held, { ...held, keys: [], channels: [] });\n    this.#inbox.removed(name);',
      },
    ],
    test: { file: 'proxy/snapshot/snapshot-index.test.ts', name: 'a change > is never the removal of a Secret' },
  },
  {
    id: 'older-generation',
    bug: 'a record with an older revocation counter brings a revoked key back',
    edits: [{ file: 'proxy/snapshot/gone-keys.ts', find: '&& record.gen < seen.gen', replace: '&& false' }],
    test: {
      file: 'proxy/snapshot/snapshot-index.test.ts',
      name: 'the end of a key > stays: a record with an older revocation counter is refused',
    },
  },
  {
    id: 'newer-shard',
    bug: 'a shard that asks for a newer reader is taken as if it were understood',
    edits: [{ file: 'core/snapshot-parse.ts', find: 'version.value.minReader > snapshotReader', replace: 'false' }],
    test: {
      file: 'proxy/snapshot/snapshot-index.test.ts',
      name: 'a bad document > for newer readers is refused and the last good one stays',
    },
  },
  {
    id: 'half-an-epoch',
    bug: 'an epoch is in force before all its shards are there',
    edits: [
      { file: 'proxy/snapshot/snapshot-index.ts', find: '|| this.#missingShards(announced).length > 0) return;', replace: ') return;' },
    ],
    test: {
      file: 'proxy/snapshot/snapshot-index.test.ts',
      name: 'an epoch > gives way when the next one is complete, whatever the order, and not before',
    },
  },
  {
    id: 'streams-of-a-revoked-key',
    bug: 'the running streams of a revoked key go on',
    edits: [
      {
        file: 'proxy/snapshot/snapshot-tables.ts',
        find: "if (after.record.state === 'Revoked') return before.state === 'Revoked' ? []",
        replace: "if (after.record.state === 'Revoked') return before.state !== undefined ? []",
      },
    ],
    test: {
      file: 'proxy/snapshot/snapshot-index.test.ts',
      name: 'the end of a key > is told when it is revoked, deleted, or made anew under the same name',
    },
  },

  // Scale
  {
    id: 'restart-reads-each',
    bug: 'a new leader asks for every delivery Secret by itself',
    edits: [{ file: 'operator/operator.ts', find: 'await prefetchDeliveries(gatherer, settings.watchNamespaces, log);', replace: '' }],
    test: { file: 'operator/restart.test.ts', name: 'reads the delivery Secrets together, and writes nothing' },
  },
  {
    id: 'users-by-all-keys',
    bug: 'a key that is revoked still counts as a user of its Channels',
    edits: [
      {
        file: 'operator/queue/user-groups.ts',
        find: 'if (spec.revoked === true || metadata.deletionTimestamp !== undefined) return undefined;',
        replace: 'if (metadata.deletionTimestamp !== undefined) return undefined;',
      },
    ],
    test: { file: 'operator/queue/user-groups.test.ts', name: 'follows edits, ends and returns, and tells which of them matter' },
  },

  // Sealing
  {
    id: 'locked-is-damaged',
    bug: 'an operator without the seal key takes sealed records for damaged and writes over them',
    edits: [
      {
        file: 'operator/sealing/sealed-cluster.ts',
        find: "if (!opened.ok && opened.reason === 'locked') {",
        replace: 'if (!opened.ok && opened === undefined) {',
      },
    ],
    test: {
      file: 'operator/sealing/sealing.test.ts',
      name: 'without the key writes nothing, does not lead and says why; with it, it goes on',
    },
  },
  {
    id: 'sealed-value-moves',
    bug: 'a sealed value can be moved to another Secret',
    edits: [
      {
        file: 'runtime/seal.ts',
        find: "Buffer.from(['KWS1', type, namespace, name, entry]",
        replace: "Buffer.from(['KWS1', type, namespace, entry]",
      },
    ],
    test: { file: 'runtime/seal.test.ts', name: 'a sealed value > is damaged under another name' },
  },
  {
    id: 'reseal-twice',
    bug: 'a Secret is sealed anew although it is sealed as new ones are',
    edits: [{ file: 'operator/sealing/sealed-cluster.ts', find: 'if (this.#seals.get(name) === this.#keys.current ||', replace: 'if (' }],
    test: {
      file: 'operator/sealing/sealing.test.ts',
      name: 'goes from not sealed to sealed, to another key and back, and writes each Secret once a time',
    },
  },
  {
    id: 'unsealed-is-taken',
    bug: 'a proxy that has a seal key takes documents that are not sealed',
    edits: [{ file: 'runtime/seal.ts', find: 'if (opensPlain) return', replace: 'if (opensPlain || seal === plainSeal) return' }],
    test: {
      file: 'proxy/snapshot/snapshot-index.test.ts',
      name: 'sealed documents > cannot be moved to another name, and unsealed ones are not taken in their place',
    },
  },

  // GitOps
  {
    id: 'tracker-labels-copied',
    bug: 'the delivery Secret gets the labels of the VirtualKey, so that Argo CD or Flux prunes it',
    edits: [
      {
        file: 'operator/credentials/delivery-secret.ts',
        find: 'labels: { ...template?.labels, [deliveryLabel]',
        replace: 'labels: { ...virtualKey.metadata.labels, ...template?.labels, [deliveryLabel]',
      },
    ],
    test: {
      file: 'operator/trackers.test.ts',
      name: 'the marks of whoever applied a VirtualKey > are never on its delivery Secret, when it is made and when it is written again',
    },
  },
  {
    id: 'refused-domain-below',
    bug: 'a template may set meta.helm.sh/ names, so that Helm adopts the delivery Secret',
    edits: [{ file: 'operator/translate/acceptance.ts', find: ' || prefix.endsWith(`.${domain}`)', replace: '' }],
    test: {
      file: 'operator/translate/acceptance.test.ts',
      name: 'a delivery template > is told every name that it may not set, and no other',
    },
  },
  {
    id: 'stalled-missing',
    bug: 'a mistake that only an edit mends is not Stalled, so that a release waits until its time-out',
    edits: [
      {
        file: 'operator/translate/key-conditions.ts',
        find: "type: problem?.stalled === true ? 'Stalled' : 'Reconciling'",
        replace: "type: 'Reconciling'",
      },
    ],
    test: golden('secret-ref-weak.in.yaml'),
  },
  {
    id: 'revoked-not-ready',
    bug: 'a revoked key is not Ready, so that it blocks every release',
    edits: [
      {
        file: 'operator/translate/key-conditions.ts',
        find: "return { type: 'Ready', status: 'True', ...toReached(state) };",
        replace: "return { type: 'Ready', status: state.record.revokedAt === undefined ? 'True' : 'False', ...toReached(state) };",
      },
    ],
    test: golden('revoked-told.in.yaml'),
  },
  {
    id: 'health-of-the-edit-before',
    bug: 'the health check for Argo CD takes the status of the edit before for that of the last one',
    edits: [
      {
        file: 'examples/gitops/argocd/health.lua',
        find: 'if obj.status.observedGeneration ~= obj.metadata.generation then',
        replace: 'if false then',
      },
    ],
    test: { file: 'examples/gitops/argocd/health.test.ts', name: 'the health check for Argo CD > is Progressing with an old generation' },
  },

  // Faults of the API server
  {
    id: 'watch-dead-after-410',
    bug: 'a watch whose version has expired is asked for again from there, for ever',
    edits: [
      {
        file: 'operator/cluster/kubernetes/reflector.ts',
        find: 'if (expired || this.#failures >= failuresBeforeRelist)',
        replace: 'if (!expired && this.#failures >= failuresBeforeRelist)',
      },
    ],
    test: {
      file: 'operator/cluster/kubernetes/reflector.test.ts',
      name: 'reflector > lists anew at once when the version has expired (in the stream), and tells only what differs',
    },
  },
  {
    id: 'no-back-off',
    bug: 'the operator comes back in a tight loop to a server that ends each watch after an event',
    edits: [{ file: 'operator/cluster/kubernetes/reflector.ts', find: 'if (!told || this.#shortWatches > 1)', replace: 'if (!told)' }],
    test: {
      file: 'operator/cluster/kubernetes/reflector-faults.test.ts',
      name: 'a server that would have us come back again and again > ends each watch after an event: the second time we take our time',
    },
  },
  {
    id: 'list-without-version',
    bug: 'a list without a resource version is watched on from any version, which never tells what was deleted in between',
    edits: [{ file: 'operator/cluster/kubernetes/reflector.ts', find: "if (resourceVersion === '')", replace: 'if (false)' }],
    test: {
      file: 'operator/cluster/kubernetes/reflector-faults.test.ts',
      name: 'answers that are not what they should be > a list without a resource version is not believed: nothing is gone',
    },
  },
  {
    id: 'unreadable-item-is-gone',
    bug: 'an item of a list that cannot be read is taken for deleted',
    edits: [{ file: 'operator/cluster/kubernetes/kubernetes.ts', find: 'if (parsed.length < items.length)', replace: 'if (false)' }],
    test: {
      file: 'operator/cluster/kubernetes/reflector-faults.test.ts',
      name: 'answers that are not what they should be > a list with an item that is no object is not believed: nothing is gone',
    },
  },
  {
    id: 'restored-store-unnoticed',
    bug: 'a proxy goes on watching from a version that a restored store has not reached, and hears nothing',
    edits: [
      { file: 'proxy/kubernetes/watch-health.ts', find: 'return this.#silences >= silencesBeforeRelist;', replace: 'return false;' },
      { file: 'proxy/kubernetes/kubernetes-source.ts', find: 'this.#failures >= failuresBeforeRelist', replace: 'false' },
    ],
    test: {
      file: 'proxy/kubernetes/kubernetes-source-faults.test.ts',
      name: 'a server that says nothing, or something else > is listed when it is silent twice from the same version: its history may be another one',
    },
  },
  {
    id: 'history-not-asked-for',
    bug: 'after a broken watch the operator goes on from a version that a restored store has not reached',
    edits: [
      {
        file: 'operator/cluster/kubernetes/reflector.ts',
        find: 'if (this.#inDoubt) await this.#checkHistory();',
        replace: '',
      },
    ],
    test: {
      file: 'operator/cluster/kubernetes/reflector-faults.test.ts',
      name: 'a server that is there and does not answer > is asked for its version when a watch has broken off: a store that was restored',
    },
  },
  {
    id: 'leads-after-deadline',
    bug: 'a leader whose renewals are not answered in time goes on leading while its lease looks fresh',
    edits: [
      { file: 'operator/leadership/lease.ts', find: ' && this.#options.monotonicMs() < this.#term.deadlineMs', replace: '' },
      { file: 'operator/leadership/lease.ts', find: 'if (term.ending.signal.aborted) return;', replace: 'return;' },
    ],
    test: {
      file: 'operator/leadership/lease-faults.test.ts',
      name: 'leader election over a slow network > a renewal that is answered after the deadline prolongs nothing',
    },
  },
  {
    id: 'write-after-the-lease',
    bug: 'a write that has waited for a throttling server is sent although the process leads no more',
    edits: [{ file: 'operator/cluster/kubernetes/client.ts', find: 'if (writes && !this.#options.mayWrite())', replace: 'if (false)' }],
    test: {
      file: 'operator/cluster/kubernetes/client.test.ts',
      name: 'Kubernetes client > sends no write that has waited for longer than we lead, neither at first nor once more',
    },
  },
  {
    id: 'urgent-waits',
    bug: 'an urgent write of the snapshot waits behind all others',
    edits: [
      {
        file: 'operator/queue/work-queue.ts',
        find: 'this.#take(this.#urgent, concurrency + urgentConcurrency) ?? this.#take(this.#waiting, concurrency)',
        replace: 'this.#take(this.#waiting, concurrency) ?? this.#take(this.#urgent, concurrency + urgentConcurrency)',
      },
    ],
    test: {
      file: 'operator/queue/work-queue.test.ts',
      name: 'work queue > takes what is urgent before everything that is not, also what waited already or runs',
    },
  },
  {
    id: 'crowd-goes-first',
    bug: 'a namespace with many waiting keys is served to its end before the next one’s turn',
    edits: [
      {
        file: 'operator/queue/fair-line.ts',
        find: '      this.#groups.delete(name);\n      group.delete(first[0]);',
        replace: '      if (group.size <= 1) this.#groups.delete(name);\n      group.delete(first[0]);',
      },
    ],
    test: { file: 'operator/queue/fair-line.test.ts', name: 'a fair line > lets groups take turns, each in the order of arrival' },
  },
  {
    id: 'one-namespace-has-all-workers',
    bug: 'one namespace may have all workers, and others wait until the API server has answered for it',
    edits: [
      {
        file: 'operator/operator.ts',
        find: 'urgentConcurrency: 4, keptForOthers: 2',
        replace: 'urgentConcurrency: 0, keptForOthers: 0',
      },
    ],
    test: {
      file: 'operator/noisy-neighbour.test.ts',
      name: 'a revocation, a suspension and an edit do not wait for any of the edits of another namespace',
    },
  },
  {
    id: 'revocation-paced',
    bug: 'the revocation of a key that is edited without a pause waits for its turn like another edit',
    edits: [{ file: 'operator/watches.ts', find: "if (isEndedByEdit(before, object)) return 'urgently';", replace: '' }],
    test: {
      file: 'operator/noisy-neighbour.test.ts',
      name: 'a revocation does not wait for the edits of its own namespace, nor for those of its own key',
    },
  },
  {
    id: 'late-answer-hides-an-edit',
    bug: 'the answer to our own write, which comes after the watch has shown a later edit, takes the place of that edit',
    edits: [
      {
        file: 'operator/reflected-store.ts',
        find: "if (former !== undefined && liesBefore(object.metadata.resourceVersion ?? '', former)) return false;",
        replace: '',
      },
    ],
    test: {
      file: 'operator/reflected-store.test.ts',
      name: 'a store ahead of its watch by our own writes > keeps what the watch has shown after our write, when the answer to the write comes later still',
    },
  },
  {
    id: 'each-edit-is-looked-at',
    bug: 'an object that is edited without a pause is looked at as often as it is edited',
    edits: [{ file: 'operator/queue/change-pace.ts', find: 'return paced.dueMs - nowMs;', replace: 'return 0;' }],
    test: {
      file: 'operator/noisy-neighbour.test.ts',
      name: 'an object that is edited without a pause is looked at once a second, at last as it stands at last',
    },
  },
  {
    id: 'large-statuses-without-rest',
    bug: 'the status of a large object is written for each of its edits',
    edits: [{ file: 'operator/status-writer.ts', find: 'length < largeBytes ? 0', replace: 'length > 0 ? 0' }],
    test: {
      file: 'operator/status-writer.test.ts',
      name: 'statuses of an object that is edited again and again > are the fewer, the larger it is, and at last there is the right one',
    },
  },

  // Chart and images
  {
    id: 'operator-may-delete-secrets',
    bug: 'the operator may delete the Secrets of tenants',
    edits: [
      {
        file: 'charts/keywright/templates/_rbac.tpl',
        find: 'resources: [secrets]\n  verbs: [get, list, watch, create, update]\n{{ include',
        replace: 'resources: [secrets]\n  verbs: [get, list, watch, create, update, delete]\n{{ include',
      },
    ],
    test: {
      file: 'test/chart/grants.test.ts',
      name: 'the rights that the chart renders > are those of docs/rbac.md and no others: the whole cluster',
    },
  },
  {
    id: 'proxy-reads-everywhere',
    bug: 'the right of the proxies to Secrets is one of the whole cluster',
    edits: [
      {
        file: 'charts/keywright/templates/rbac.yaml',
        find: 'include "keywright.role" (merge (dict "name" (include "keywright.componentName" $proxy)',
        replace: 'include "keywright.clusterRole" (merge (dict "name" (include "keywright.componentName" $proxy)',
      },
    ],
    test: {
      file: 'test/chart/grants.test.ts',
      name: 'the rights that the chart renders > are those of docs/rbac.md and no others: single namespaces',
    },
  },
  {
    id: 'creating-keys-for-every-editor',
    bug: 'whoever has the cluster’s role edit may create VirtualKeys',
    edits: [
      {
        file: 'charts/keywright/templates/user-roles.yaml',
        find: 'name: {{ $name }}-edit\n  labels:\n',
        replace: 'name: {{ $name }}-edit\n  labels:\n    rbac.authorization.k8s.io/aggregate-to-edit: "true"\n',
      },
    ],
    test: {
      file: 'test/chart/grants.test.ts',
      name: 'the roles for people > are part of the cluster’s roles as docs/rbac.md says; edit never is',
    },
  },
  {
    id: 'crds-go-with-the-release',
    bug: 'uninstalling the release deletes the CRDs, and with them every key',
    edits: [{ file: 'charts/keywright/templates/crds/virtualkey.yaml', find: '    helm.sh/resource-policy: keep\n', replace: '' }],
    test: { file: 'test/chart/renderings.test.ts', name: 'the chart > gives the CRDs as they are, kept or not' },
  },
  {
    id: 'streams-cut-at-a-stop',
    bug: 'a pod is killed before its running requests had their time',
    edits: [
      {
        file: 'charts/keywright/templates/proxy.yaml',
        find: 'add $values.preStopSeconds (default 600 $values.settings.drainSeconds) 20',
        replace: 'add $values.preStopSeconds 20',
      },
    ],
    test: {
      file: 'test/chart/renderings.test.ts',
      name: 'the chart > waits for running streams: the grace period follows the time to drain',
    },
  },
  {
    id: 'password-in-a-deployment',
    bug: 'an address of Redis with a password is taken as a plain value',
    edits: [
      {
        file: 'charts/keywright/templates/_pods.tpl',
        find: '([+](sentinel|cluster))?://[^@]+$',
        replace: '([+](sentinel|cluster))?://.+$',
      },
    ],
    test: {
      file: 'test/chart/schema.test.ts',
      name: 'values are refused with what is wrong > {"redis":{"url":"redis://user:hunter2@h:6379"}}',
    },
  },
  {
    id: 'whole-program-in-the-proxy-image',
    bug: 'the image of the proxy holds the operator with the Kubernetes client',
    edits: [{ file: 'build/assemble.ts', find: "proxy: ['proxy']", replace: "proxy: ['proxy', 'operator']" }],
    test: {
      file: 'test/chart/images.test.ts',
      name: 'what is built > leaves no Kubernetes client in the image of the proxy, and nothing of the operator',
    },
  },

  // Revocation
  {
    id: 'revocation-taken-back',
    bug: 'a later revocation of the same key replaces what is final',
    edits: [
      {
        file: 'core/revocation.ts',
        find: 'left.gen === right.gen || isFinal(left.state) || isFinal(right.state)',
        replace: 'left.gen === right.gen',
      },
    ],
    test: {
      file: 'core/revocation.test.ts',
      name: 'merging revocations > never takes back a revocation, a deletion, an ended credential, or a higher gen',
    },
  },
  {
    id: 'revocation-forgotten',
    bug: 'a proxy lets go of a revocation although its snapshot does not say it yet',
    edits: [
      {
        file: 'proxy/keys/revocations.ts',
        find: 'nowMs - seenMs < keepMs || !isSuperseded(revocation, record)',
        replace: 'nowMs - seenMs < keepMs',
      },
    ],
    test: {
      file: 'proxy/keys/revocations.test.ts',
      name: 'revocations held by a proxy > overrule the record of the same object until the snapshot says it itself',
    },
  },
  {
    id: 'standby-silent',
    bug: 'only the leader tells of revocations',
    edits: [
      {
        file: 'operator/operator.ts',
        find: 'onVirtualKey: (event) => this.#revoking.see(event)',
        replace: 'onVirtualKey: (event) => void (this.#term && this.#revoking.see(event))',
      },
    ],
    test: {
      file: 'operator/revocation/revocations.test.ts',
      name: 'every replica > tells at once that a key was revoked, with nobody leading',
    },
  },
  {
    id: 'short-list-revokes',
    bug: 'a key that a list merely lacks is told as deleted',
    edits: [{ file: 'operator/revocation/revocation-watch.ts', find: "if (event.type === 'Deleted' && !event.seen) return;", replace: '' }],
    test: { file: 'operator/revocation/revocations.test.ts', name: 'every replica > tells nothing of a key that a false empty list lacks' },
  },
  {
    id: 'flicker-for-ever',
    bug: 'a suspension that another replica saw for a moment is never lifted',
    edits: [
      {
        file: 'operator/translate/lifecycle.ts',
        find: "return (highest.state === 'Suspended') === suspended ? highest.gen : highest.gen + 1;",
        replace: 'return record.gen;',
      },
    ],
    test: {
      file: 'operator/revocation/revocations.test.ts',
      name: 'the leader > lifts a suspension that only another replica has seen: it is over already',
    },
  },
  {
    id: 'old-view-lifts',
    bug: 'a replica whose view is old takes back a suspension that somebody else has told',
    edits: [
      { file: 'operator/translate/revocation.ts', find: "state === 'Active' && !mayLift ? known.gen : record.gen", replace: 'record.gen' },
    ],
    test: { file: 'operator/translate/revocation.test.ts', name: 'what a replica tells > by an old view nothing that lifts' },
  },
  {
    id: 'break-glass-hits-next',
    bug: 'a revocation for a name stays, and ends the next key of that name',
    edits: [
      {
        file: 'operator/revocation/revocation-keeper.ts',
        find: 'toConcrete(revocation);',
        replace: 'if (revocation.uid === anyObject) continue;',
      },
    ],
    test: {
      file: 'operator/revocation/revocations.test.ts',
      name: 'the leader > makes of a break-glass revocation one for ever, and keeps it off the next key of that name',
    },
  },
  {
    id: 'swept-before-settled',
    bug: 'a revocation leaves Redis although a living proxy has not the snapshot that says it',
    edits: [
      { file: 'operator/revocation/revocation-keeper.ts', find: "settlement === 'unknown' ? unknownMs : Infinity", replace: 'unknownMs' },
    ],
    test: {
      file: 'operator/revocation/revocations.test.ts',
      name: 'the leader > leaves in Redis what a living proxy still needs, however long',
    },
  },
  {
    id: 'admission-not-asked',
    bug: 'an admission passes over what stands in Redis',
    edits: [
      {
        file: 'proxy/counters/scripts/admit.lua',
        find: 'if overrules(stands[1], request) or overrules(stands[2], request) then return',
        replace: 'if false then return',
      },
    ],
    test: {
      file: 'test/redis/admission-check.test.ts',
      name: 'an admission in Redis > is refused by what stands there, although nobody has told the proxy, and reserves nothing',
    },
  },
  {
    id: 'delivered-before-all',
    bug: 'a new key is delivered although a living proxy does not have it yet',
    edits: [
      {
        file: 'operator/translate/generate.ts',
        find: "return settlement === 'waiting' ? Math.max(settleMs, longestSettleMs) : settleMs;",
        replace: 'return settleMs;',
      },
    ],
    test: {
      file: 'operator/revocation/settling.test.ts',
      name: 'a new key is delivered > as soon as every living proxy says that it has it, and not before',
    },
  },

  // Snapshot: guard, epochs, revocations beside the shards
  {
    id: 'guard-off',
    bug: 'keys that would vanish unasked leave the snapshot, however many',
    edits: [
      { file: 'operator/snapshot/shrink-guard.ts', find: 'const blocked = vanished > mostKeys &&', replace: 'const blocked = false &&' },
    ],
    test: {
      file: 'operator/snapshot/snapshot-guard.test.ts',
      name: 'keys that would vanish though nobody has asked for it > more than 30 % and more than 20: all stay, and it is told on the index, on the keys and in metrics',
    },
  },
  {
    id: 'guard-forgets',
    bug: 'a wave that comes in small parts is not added up',
    edits: [
      {
        file: 'operator/snapshot/shrink-guard.ts',
        find: 'this.#held.size + this.#letThrough.size + this.#options.absent()',
        replace: 'this.#held.size',
      },
    ],
    test: {
      file: 'operator/snapshot/snapshot-guard.test.ts',
      name: 'keys that would vanish though nobody has asked for it > one after the other, each wave too small to be noticed: they count together',
    },
  },
  {
    id: 'drop-for-ever',
    bug: 'the permission to drop keys is not used up',
    edits: [
      {
        file: 'operator/snapshot/guarded-withdrawals.ts',
        find: 'if (!(await index.removeAnnotation(allowDropAnnotation))) return false;',
        replace: '',
      },
    ],
    test: {
      file: 'operator/snapshot/snapshot-guard.test.ts',
      name: 'keys that would vanish though nobody has asked for it > go when somebody allows it for this epoch, once',
    },
  },
  {
    id: 'absences-in-a-storm',
    bug: 'objects that a list lacked are asked for as fast as the API server answers',
    edits: [{ file: 'operator/absences.ts', find: 'await this.#pace.turn();', replace: '' }],
    test: {
      file: 'operator/snapshot/snapshot-guard.test.ts',
      name: 'a list of VirtualKeys that comes back too short > empty: none is removed, each is asked for, and never more than 50 a second',
    },
  },
  {
    id: 'found-and-forgotten',
    bug: 'of a key that a list lacked and that was found by name the later end is not told',
    edits: [{ file: 'operator/reflectors.ts', find: 'reflector.keep(object);', replace: 'continue;' }],
    test: {
      file: 'operator/snapshot/snapshot-guard.test.ts',
      name: 'a list of VirtualKeys that comes back too short > in part: what is there stays, what was really deleted meanwhile goes',
    },
  },
  {
    id: 'index-before-shards',
    bug: 'the index names an epoch whose shards are not all there',
    edits: [
      {
        file: 'operator/snapshot/snapshot-shards.ts',
        find: 'children.every(({ complete, behind }) => complete && !behind)',
        replace: 'children.length > 0',
      },
    ],
    test: {
      file: 'operator/snapshot/snapshot-epochs.test.ts',
      name: 'while epochs change, with a process that dies at any write and writes that fail > no key is unpublished, none goes back, none comes back, and in the end all is as wanted',
    },
  },
  {
    id: 'next-epoch-behind',
    bug: 'a change reaches the epoch in force before the next one, which the index may name at any moment',
    edits: [
      {
        file: 'operator/snapshot/snapshot-shards.ts',
        find: 'const trouble = await this.#writeChildren(bucket, desired, true);',
        replace: 'const trouble: unknown = undefined;',
      },
    ],
    test: {
      file: 'operator/snapshot/snapshot-epochs.test.ts',
      name: 'while epochs change, with a process that dies at any write and writes that fail > no key is unpublished, none goes back, none comes back, and in the end all is as wanted',
    },
  },
  {
    id: 'old-epoch-too-early',
    bug: 'the shards of the former epoch go before proxies had their time',
    edits: [{ file: 'operator/snapshot/former-epochs.ts', find: 'const followMs = 600_000;', replace: 'const followMs = 60_000;' }],
    test: {
      file: 'operator/snapshot/snapshot-epochs.test.ts',
      name: 'a shard that grows too large > begins an epoch with twice the shards: all of them, then the index; the former goes 10 minutes later',
    },
  },
  {
    id: 'revocations-not-first',
    bug: 'a proxy that starts is ready before it knows the revocations that stand beside the shards',
    edits: [
      {
        file: 'proxy/snapshot/snapshot-inbox.ts',
        find: 'if (pending.has(revocationsSecretName)) return revocationsSecretName;',
        replace: '',
      },
    ],
    test: {
      file: 'proxy/snapshot/snapshot-index.test.ts',
      name: 'revocations beside the shards > are told before the shards that come in the same burst make the proxy ready',
    },
  },
  {
    id: 'revocations-wait-for-shards',
    bug: 'what ends while its shard cannot be written is told by nothing but the shard',
    edits: [
      {
        file: 'operator/snapshot/publish.ts',
        find: 'if (name !== revocationsSecretName) this.#queue.add(revocationsSecretName, { urgent: true });',
        replace: '',
      },
    ],
    test: {
      file: 'standalone/snapshot-following.test.ts',
      name: 'while shards cannot be written > a key that is resumed meanwhile is resumed',
    },
  },
  {
    id: 'any-404-ends',
    bug: 'an answer that says nothing of the object (its kind is not served yet) counts as its end',
    edits: [
      {
        file: 'operator/cluster/kubernetes/kubernetes.ts',
        find: "code === 404 && fieldOf(fieldOf(body, 'details'), 'name') === name",
        replace: 'code === 404',
      },
    ],
    test: {
      file: 'operator/cluster/kubernetes/client.test.ts',
      name: 'Kubernetes client > takes for absent only what the server says of this very object, not any 404',
    },
  },
  {
    id: 'statuses-without-end',
    bug: 'of two leaders that see different things each writes its status over the other’s at once, without end',
    edits: [{ file: 'operator/status-writer.ts', find: 'if (!isLost && !isUndone) return', replace: 'if (!isLost) return' }],
    test: {
      file: 'operator/status-writer.test.ts',
      name: 'two leaders that see different things > write statuses and shards over each other’s a few times in a minute, not without end',
    },
  },
  {
    id: 'shard-over-foreign',
    bug: 'a shard that somebody else has written is written over with what we had',
    edits: [
      {
        file: 'operator/snapshot/snapshot-shards.ts',
        find: '        this.#takeOver({ bucket, shard, desired }, found);',
        replace: '        void found;',
      },
    ],
    test: {
      file: 'operator/snapshot/take-over.test.ts',
      name: 'a shard that somebody else has written > is taken over: what they have changed stands, and our own change comes on top',
    },
  },
  {
    id: 'disputed-not-looked-at',
    bug: 'a key that somebody else has taken out of the snapshot is brought back by what the watches say',
    edits: [{ file: 'operator/reconcile-key.ts', find: "    await watches.reread('VirtualKey', id);\n", replace: '' }],
    test: {
      file: 'operator/snapshot/take-over.test.ts',
      name: 'a key that somebody else has taken out of the snapshot > does not when it is gone, though no watch has told so',
    },
  },
  {
    id: 'short-list-of-namespaces',
    bug: 'a namespace that is only missing from a list counts as gone',
    edits: [
      {
        file: 'operator/watches.ts',
        find: "if (event.type === 'Deleted' && !event.seen) {",
        replace: "if (event.type === 'Deleted' && false) {",
      },
    ],
    test: {
      file: 'operator/snapshot/snapshot-guard.test.ts',
      name: 'a list of Namespaces that comes back too short > takes a Channel from nobody, and what was really deleted meanwhile goes',
    },
  },

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
  // Health of channels
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
  // Budgets in the store
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

  // Gemini
  {
    id: 'gemini-thoughts-free',
    bug: 'the thoughts of a Gemini model are not charged',
    edits: [{ file: 'core/usage.ts', find: 'Math.max(candidates + thoughts, (toCount', replace: 'Math.min(candidates, (toCount' }],
    test: { file: 'core/usage.test.ts', name: 'parseGeminiUsage > reads thoughts, which stand beside the candidates' },
  },
  {
    id: 'gemini-other-model',
    bug: 'a body may name another model than the path, which alone was found allowed',
    edits: [
      { file: 'proxy/dialects/gemini/fields.ts', find: 'return other === undefined ? { model }', replace: 'return true ? { model }' },
    ],
    test: { file: 'proxy/dialects/gemini/gemini.test.ts', name: 'a call is refused > for another model in a batch' },
  },
  {
    id: 'gemini-two-spellings',
    bug: 'a bound of the output that the provider reads in snake case stands unseen beside the one in camel case',
    edits: [{ file: 'proxy/dialects/gemini/body-rules.ts', find: '(seen.has(name) ?', replace: '(seen.has(member.name) ?' }],
    test: { file: 'proxy/dialects/gemini/gemini.test.ts', name: 'a call is refused > for both spellings within' },
  },
  {
    id: 'gemini-first-of-two-files',
    bug: 'a file of the account passes where a second member of that name hides it from a parser',
    edits: [
      {
        file: 'proxy/dialects/gemini/body-rules.ts',
        find: 'start = bytes.indexOf(quote, end + 1);',
        replace: 'start = name === undefined ? bytes.indexOf(quote, end + 1) : -1;',
      },
      {
        file: 'proxy/dialects/gemini/body-rules.ts',
        find: 'for (let start = bytes.indexOf(quote); start',
        replace: "for (let start = bytes.lastIndexOf('fileUri') - 1; start",
      },
    ],
    test: { file: 'proxy/dialects/gemini/gemini.test.ts', name: 'a call is refused > for a file behind another' },
  },
  {
    id: 'gemini-list-unmetered',
    bug: 'a stream that comes as a list has no usage',
    edits: [
      {
        file: 'proxy/dialects/gemini/elements.ts',
        find: '} else if (byte === 0x7b) {',
        replace: "} else if (byte === 0x7b && state === 'before') {",
      },
    ],
    test: {
      file: 'proxy/dialects/gemini/gemini.test.ts',
      name: 'a stream of a list > begins at once, leaves when it arrives, and is booked as it ends',
    },
  },
  {
    id: 'gemini-list-cut',
    bug: 'a list that breaks off is left without its end',
    edits: [
      {
        file: 'proxy/dialects/gemini/whole-elements.ts',
        find: 'return inPieces\n',
        replace: "return element !== ''\n",
      },
    ],
    test: {
      file: 'proxy/dialects/gemini/gemini.test.ts',
      name: 'a stream of a list > that is broken off says so in its own form, and is booked as far as it came',
    },
  },
  {
    id: 'replay-in-another-form',
    bug: 'a stored response that is streamed once more and broken off ends as a stream of chat does, which the SDK does not understand',
    edits: [
      {
        file: 'proxy/dialects/openai/responses.ts',
        find: 'return options.stream ? makeReplayMeter(options) : makeFreeMeter();',
        replace: 'return makeFreeMeter();',
      },
    ],
    test: {
      file: 'proxy/stored-objects/responses-life.test.ts',
      name: 'a stream that is read once more > and is broken off says so as the first one would, and costs nothing',
    },
  },
  {
    id: 'no-spare-room',
    bug: 'a request for spare capacity that finds none takes the credential from those who pay for more',
    edits: [{ file: 'proxy/attempts/may-be-of-request.ts', find: "return priceFields.serviceTier === 'flex';", replace: 'return false;' }],
    test: { file: 'proxy/attempts/may-be-of-request.test.ts', name: 'a throttle of the tier flex leaves others with 200' },
  },
  {
    id: 'private-video',
    bug: 'a link to a private video takes the model from all tenants of the account',
    edits: [{ file: 'proxy/attempts/may-be-of-request.ts', find: '!isOfOne || readsElsewhere', replace: '!isOfOne' }],
    test: {
      file: 'proxy/dialects/gemini/gemini.test.ts',
      name: 'a video that is forbidden takes the model from nobody; a model that is forbidden is left alone',
    },
  },
  {
    id: 'gemini-field-mask',
    bug: 'a client masks the fields of the answer, so that its usage is not told',
    edits: [{ file: 'proxy/headers.ts', find: "name.startsWith('x-goog-') &&", replace: "name.startsWith('x-goog-user') &&" }],
    test: {
      file: 'proxy/dialects/gemini/gemini.test.ts',
      name: 'a call > carries the Channel’s credential and none of the client’s; of Google’s headers only that of the SDK',
    },
  },
  {
    id: 'gemini-answer-in-protobuf',
    bug: 'a client asks for its answer in a form that cannot be metered',
    edits: [
      {
        file: 'proxy/stages/authorize.ts',
        find: 'values.every((value) => allowed.includes(value))',
        replace: 'values.every((value) => value !== undefined)',
      },
    ],
    test: {
      file: 'proxy/dialects/gemini/gemini.test.ts',
      name: 'a call is refused > POST /v1beta/models/m:generateContent?alt=proto: 400 INVALID_REQUEST',
    },
  },
  {
    id: 'gemini-first-colon',
    bug: 'the name of a model ends at its first colon',
    edits: [{ file: 'proxy/intake/find-endpoint.ts', find: '/^(.*):([A-Za-z]+)$/s', replace: '/^([^:]*):([A-Za-z]+)$/s' }],
    test: {
      file: 'proxy/dialects/gemini/gemini.test.ts',
      name: 'a call > /v1beta/models/a:b:generateContent reaches /v1beta/models/a%3Ab:generateContent with the bytes of the client, and is booked',
    },
  },
  {
    id: 'gemini-image-as-text',
    bug: 'images of an answer are charged as text, a twelfth of what they cost',
    edits: [{ file: 'core/price.ts', find: "['imageOutput', imageOutput],", replace: "['output', imageOutput]," }],
    test: { file: 'core/price.test.ts', name: 'costOf > images of an answer at their own rate' },
  },
  {
    id: 'tools-beyond-kept',
    bug: 'searches are not reserved where the list of tools is long',
    edits: [
      {
        file: 'proxy/stages/authorize.ts',
        find: 'driver.toPriceFields(opened.value, required(exchange.shape));\n  exchange.body = opened.keep();',
        replace: 'driver.toPriceFields(opened.keep().value, required(exchange.shape));\n  exchange.body = opened.keep();',
      },
    ],
    test: { file: 'proxy/dialects/gemini/gemini.test.ts', name: 'searches are reserved however long the list of tools is' },
  },

  // Conversations
  {
    id: 'conversation-unreserved',
    bug: 'a request that goes on with a long conversation reserves its own text alone',
    edits: [{ file: 'proxy/stages/locate.ts', find: 'tokens: prompt.tokens + tokens', replace: 'tokens: prompt.tokens + tokens * 0' }],
    test: {
      file: 'proxy/stored-objects/responses-life.test.ts',
      name: 'what is charged > what it goes on with is part of what is reserved, all of the conversation so far',
    },
  },

  // Shared accounts
  {
    id: 'safety-identifier-of-client',
    bug: 'a client says to the provider who it is, and not the gateway',
    edits: [
      {
        file: 'proxy/attempts/shared-account.ts',
        find: "...(safetyIdentifier === 'FromKey' ?",
        replace: "...(safetyIdentifier === 'FromKey' && body['safety_identifier'] === undefined ?",
      },
    ],
    test: {
      file: 'proxy/attempts/shared-account.test.ts',
      name: 'a Channel that keeps its tenants apart > says which key it was, and not what the client says',
    },
  },
  {
    id: 'cache-without-key',
    bug: 'a request that names no prompt cache shares one with every other tenant',
    edits: [
      {
        file: 'proxy/attempts/shared-account.ts',
        find: "if (typeof given !== 'string' || given === '') return prefix;",
        replace: "if (typeof given !== 'string' || given === '') return '';",
      },
    ],
    test: {
      file: 'proxy/attempts/shared-account.test.ts',
      name: 'a Channel that keeps its tenants apart > gives each key a prompt cache of its own, whether or not it names one',
    },
  },

  // Stored objects
  {
    id: 'shown-before-noted',
    bug: 'an event that shows the id of a response goes on while it is not yet noted whose it is',
    edits: [
      {
        file: 'proxy/stored-objects/answer-keeper.ts',
        find: 'take: (chunk) => ({ pieces: [chunk], ...note(splitter.push(chunk).map(({ data }) => data)) }),',
        replace: 'take: (chunk) => (note(splitter.push(chunk).map(({ data }) => data)), { pieces: [chunk] }),',
      },
    ],
    test: {
      file: 'proxy/stored-objects/responses-life.test.ts',
      name: 'what is noted when > of a stream no event that shows an id comes before it is noted, and nothing is lost or out of order',
    },
  },
  {
    id: 'whole-before-noted',
    bug: 'a whole response goes on while it is not yet noted whose it is',
    edits: [
      {
        file: 'proxy/stored-objects/answer-keeper.ts',
        find: 'return { pieces, ...note([Buffer.concat(pieces).toString()]) };',
        replace: 'note([Buffer.concat(pieces).toString()]); return { pieces };',
      },
    ],
    test: {
      file: 'proxy/stored-objects/responses-life.test.ts',
      name: 'what is noted when > a whole answer waits until its ids are noted, and is the same then',
    },
  },
  {
    id: 'too-long-to-be-paid',
    bug: 'what does not fit into the room for held answers is not read to its end, where its usage stands',
    edits: [
      {
        file: 'proxy/stored-objects/answer-keeper.ts',
        find: 'return { pieces: [], unseen: [...drop(), chunk] };',
        replace: 'return { pieces: [...drop()].slice(0, 0), noted: Promise.resolve(tooMuchHeld) };',
      },
    ],
    test: {
      file: 'proxy/stored-objects/responses-life.test.ts',
      name: 'a whole answer is held until its ids are noted > one that does not fit is refused, and charged what it tells',
    },
  },
  {
    id: 'held-and-lost',
    bug: 'an answer that breaks off while it is held has no output',
    edits: [
      {
        file: 'proxy/attempts/attempt.ts',
        find: 'this.#countUnseen(this.#keeper?.drop() ?? []);',
        replace: 'this.#keeper?.drop();',
      },
    ],
    test: {
      file: 'proxy/stored-objects/responses-life.test.ts',
      name: 'a whole answer is held until its ids are noted > one that breaks off while it is held is charged what has come',
    },
  },
  {
    id: 'room-for-the-first',
    bug: 'one tenant takes all the room for bodies and held answers',
    edits: [
      {
        file: 'proxy/bodies/shared-room.ts',
        find: 'if (after > oneBodyBytes && after > mostOfFree',
        replace: 'if (after > maxBytes && after > mostOfFree',
      },
    ],
    test: {
      file: 'proxy/stored-objects/responses-life.test.ts',
      name: 'a whole answer is held until its ids are noted > one tenant whose answers fill its part takes no room from another',
    },
  },
  {
    id: 'owner-not-compared',
    bug: 'a response is found by its id alone, whoever asks',
    edits: [{ file: 'proxy/stored-objects/shared.ts', find: '.update(`${uid}\\n${id}`)', replace: '.update(`${uid === id}\\n${id}`)' }],
    test: {
      file: 'test/redis/tenants.test.ts',
      name: 'another tenant of the same account > reads a response, and the provider never hears of it',
    },
  },
  {
    id: 'previous-unchecked',
    bug: 'whoever knows the id of a response can go on with it',
    edits: [
      {
        file: 'proxy/dialects/openai/stored-responses.ts',
        find: "{ id: previous, what: 'response', param: 'previous_response_id' }",
        replace: "{ id: previous === 0 ? 0 : undefined, what: 'response', param: 'previous_response_id' }",
      },
    ],
    test: {
      file: 'test/redis/tenants.test.ts',
      name: 'another tenant of the same account > goes on with it, and the provider never hears of it',
    },
  },
  {
    id: 'lookup-failure-unknown',
    bug: 'while Redis is away a response is said not to exist',
    edits: [
      {
        file: 'proxy/stages/locate.ts',
        find: "if (answer.outcome === 'unavailable') return cannotFind;",
        replace: "if (answer.outcome === 'unavailable') return toUnknown({ what: 'response', id: '' });",
      },
    ],
    test: {
      file: 'proxy/stored-objects/responses-life.test.ts',
      name: 'while the store is away > a look-up is no 404, and a new response is refused before anything is paid for',
    },
  },
  {
    id: 'kept-elsewhere-asked',
    bug: 'a response is looked for with any credential of the pool',
    edits: [
      {
        file: 'proxy/stages/locate.ts',
        find: '  exchange.pinnedCredential = place.credential;',
        replace: '',
      },
    ],
    test: {
      file: 'proxy/stored-objects/responses-life.test.ts',
      name: 'a response that the provider keeps > can be read, listed, cancelled, continued and deleted, always with the credential that made it',
    },
  },
  {
    id: 'tools-in-tools',
    bug: 'a tool inside of a tool may name any model',
    edits: [
      {
        file: 'proxy/dialects/request-fields.ts',
        find: "if (foldName(member.name) === 'model') found.push(member);",
        replace: "if (foldName(member.name) === 'model' && !member.path.includes('.tools[')) found.push(member);",
      },
    ],
    test: {
      file: 'test/redis/tenants.test.ts',
      name: 'another tenant of the same account > names a model that it may not use in a tool in a tool, and the provider never hears of it',
    },
  },
  {
    id: 'unnamed-image-model',
    bug: 'a key for one model gets images of whatever model the provider takes for a tool that names none',
    edits: [
      {
        file: 'proxy/dialects/openai/image-tool.ts',
        find: 'const possible = drawing.some(({ model }) => isAbsent(model)) ?',
        replace: 'const possible = drawing.length < 0 ?',
      },
    ],
    test: {
      file: 'proxy/dialects/openai/image-tool.test.ts',
      name: 'the tool that makes images names no model, and the provider takes one > so that a key has to be allowed all of them, and is told what to name',
    },
  },
  {
    id: 'model-in-a-header',
    bug: 'a header names the deployment that draws, and nobody asks whether the key may use it',
    edits: [
      {
        file: 'proxy/dialects/openai/image-deployment.ts',
        find: 'if (named === undefined || shape.drawsImages !== true)',
        replace: 'if (named !== undefined || shape.drawsImages !== true)',
      },
    ],
    test: {
      file: 'proxy/dialects/openai/image-tool.test.ts',
      name: 'at Azure a header names it > and has to be allowed like a field',
    },
  },
  {
    id: 'bucket-of-the-account',
    bug: 'a client reads what lies in a bucket with the rights of the account that all share',
    edits: [
      {
        file: 'proxy/dialects/gemini/body-rules.ts',
        find: '^(?!https?:\\/\\/)[^]',
        replace: '^(?![a-z]+:\\/\\/)[^]',
      },
    ],
    test: {
      file: 'proxy/dialects/gemini/body-rules.test.ts',
      name: 'references > "fileUri":"gs://bucket/object" is one, wherever it stands',
    },
  },
  {
    id: 'searches-for-free',
    bug: 'a model that searches for every request is charged its tokens alone',
    edits: [
      {
        file: 'proxy/prices/built-in.ts',
        find: 'const rates = { ...listed, ...findFees(providerId, model) };',
        replace: 'const rates = listed; findFees(providerId, model);',
      },
    ],
    test: {
      file: 'proxy/stages/money.test.ts',
      name: 'searches that no answer tells > a search model has a fee for each request (0)',
    },
  },
  {
    id: 'asked-searches-for-free',
    bug: 'a search that was asked for is reserved and never charged',
    edits: [
      {
        file: 'proxy/dialects/openai/chat-completions.ts',
        find: 'if (webSearches === 0) return meter;',
        replace: 'if (webSearches >= 0) return meter;',
      },
    ],
    test: {
      file: 'proxy/stages/money.test.ts',
      name: 'searches that no answer tells > any other one for each choice for which it may search (3)',
    },
  },
  {
    id: 'recording-by-a-header',
    bug: 'a recording is as short as two bytes of its header make it',
    edits: [
      {
        file: 'proxy/dialects/openai/recordings/wav.ts',
        find: 'Math.min(format.readUInt16LE(12), Math.ceil(bits / 8))',
        replace: 'Math.max(format.readUInt16LE(12), Math.ceil(bits / 8))',
      },
    ],
    test: {
      file: 'proxy/dialects/openai/recordings/recording-length.test.ts',
      name: 'how long a recording is at most > a WAV that says more bytes a moment than its samples have, or that there is no sound in it, is as long as it is',
    },
  },
  {
    id: 'transcript-for-less',
    bug: 'a transcript that tells no length is charged less than its recording may have',
    edits: [
      {
        file: 'proxy/dialects/openai/transcripts.ts',
        find: 'makeTranscriptMeter(options, options.shape?.counts?.audioMilliseconds ?? 0)',
        replace: 'makeTranscriptMeter(options, Math.ceil((options.shape?.counts?.audioMilliseconds ?? 0) / 5))',
      },
    ],
    test: {
      file: 'proxy/dialects/openai/transcripts.test.ts',
      name: 'POST /v1/audio/transcriptions > wav is reserved and charged by its own length where the answer tells none',
    },
  },
  {
    id: 'metadata-of-azure',
    bug: 'a Channel may point to the metadata service of a cloud that has its own address for it',
    edits: [{ file: 'runtime/forbidden-address.ts', find: "  ['168.63.129.16', 32],\n", replace: '' }],
    test: {
      file: 'runtime/forbidden-address.test.ts',
      name: 'where clouds serve credentials of machines > 168.63.129.16 is forbidden as an address and as a host',
    },
  },
  {
    id: 'stream-without-end',
    bug: 'a stream of the Responses API that just ends is taken for whole',
    edits: [
      {
        file: 'proxy/attempts/attempt.ts',
        find: 'if (this.#answer?.isCutShort === true) return',
        replace: 'if (this.#answer?.isCutShort === undefined) return',
      },
    ],
    test: {
      file: 'proxy/stored-objects/responses-life.test.ts',
      name: 'a stream > that ends without its last event was broken off, which the official SDK throws',
    },
  },
  {
    id: 'background-for-free',
    bug: 'what runs in the background is charged what its first answer shows',
    edits: [
      {
        file: 'proxy/answers/client-answer.ts',
        find: 'unseenOutputTokens: exchange.shape?.runsOn === true ? toOutputBound(exchange) : undefined,',
        replace: 'unseenOutputTokens: exchange.shape?.runsOn === undefined ? toOutputBound(exchange) : undefined,',
      },
    ],
    test: {
      file: 'proxy/stored-objects/responses-life.test.ts',
      name: 'what is charged > the usage of an answer; of what runs on in the background all that it may use; of a retrieval a request',
    },
  },

  // Azure
  {
    id: 'azure-other-model',
    bug: 'a body may name another model than the deployment in the path, which alone was found allowed',
    edits: [
      {
        file: 'proxy/dialects/openai/azure-paths.ts',
        find: 'return isLeftOut(model) || model === deployment ?',
        replace: 'return isAbsent(model) || model !== undefined ?',
      },
    ],
    test: { file: 'proxy/dialects/openai/azure-paths.test.ts', name: 'a client of Azure > is refused for another model in the body' },
  },
  {
    id: 'azure-model-untold',
    bug: 'a provider that goes by the body is not told the model that only the path names',
    edits: [
      {
        file: 'proxy/dialects/openai/azure-paths.ts',
        find: "return isLeftOut(options.body['model']) && ",
        replace: 'return options.shape.model === undefined && ',
      },
    ],
    test: {
      file: 'proxy/dialects/openai/azure-paths.test.ts',
      name: 'a client of Azure > and is told the deployment where it calls the model the same',
    },
  },

  // A leader that ends while Redis is away
  {
    id: 'untold-by-the-dead',
    bug: 'a revocation that was written down while Redis was away is never told when its leader ends before Redis is back',
    edits: [{ file: 'operator/revocation/revocation-keeper.ts', find: '  tellAgain();\n', replace: '' }],
    test: {
      file: 'operator/revocation/revocation-property.test.ts',
      name: 'a leader and a standby whose views lag > tell that a key was revoked by one that ended while Redis was away, when nobody else had seen it',
    },
  },

  // Seams of the request path
  {
    id: 'ended-goes-on',
    bug: 'a request whose key was revoked while a full channel was asked about its limits is sent to the next one',
    edits: [
      {
        file: 'proxy/stages/forward.ts',
        find: 'if (exchange.gone || exchange.ended !== undefined) return exchange.ended;',
        replace: '',
      },
    ],
    test: {
      file: 'proxy/stages/forward-ended.test.ts',
      name: 'while a channel that turns out to be full is asked about its limits > a request that is revoked goes on to no other one',
    },
  },
  {
    id: 'probe-unended',
    bug: 'a credential that was drawn for a repetition which is withheld counts as being tried out until the longest time of a request is over',
    edits: [{ file: 'proxy/attempts/try-channel.ts', find: "chosen.entry.end({ kind: 'notAsked' });\n", replace: '' }],
    test: {
      file: 'proxy/attempts/try-channel.test.ts',
      name: 'a credential that is drawn for a repetition which is withheld is not left being tried out',
    },
  },
  {
    id: 'known-for-ever',
    bug: 'a request that the store has forgotten after a day counts as lost, and is charged once more, when its proxy speaks of it again',
    edits: [
      {
        file: 'proxy/counters/outage/push-back.ts',
        find: 'if (now() - entry.knownMs < tombstoneMs) entry.knownMs',
        replace: 'entry.knownMs',
      },
    ],
    test: redisMoney(
      'a reservation that nobody settles > is forgotten and not lost when its stream speaks again after that day: it costs what it had cost',
    ),
  },
  {
    id: 'one-listener',
    bug: 'of two parts of a process that listen to one channel of Redis only the latter hears of it',
    edits: [{ file: 'runtime/redis-link.ts', find: '[...(channels.get(channel) ?? []), take]', replace: '[take]' }],
    test: {
      file: 'test/redis/standalone.test.ts',
      name: 'what one process has seen of a budget is known to the others when Redis has lost it',
    },
  },
  {
    id: 'alone-on-redis',
    bug: 'a standalone process takes itself for the only one on its Redis',
    edits: [{ file: 'standalone/open-usage.ts', find: 'heartbeat.living() ?? settings.replicas', replace: 'settings.replicas' }],
    test: {
      file: 'test/redis/standalone.test.ts',
      name: 'processes with snapshots of their own know how many they are, and share a limit while Redis is away',
    },
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
  {
    id: 'limits-may-be-written',
    bug: 'the operator reads limits by a script that may write, for which its rights of the documentation do not do',
    edits: [{ file: 'runtime/read-used.ts', find: 'readOnly: true', replace: 'readOnly: false' }],
    test: {
      file: 'test/redis/limits-used.test.ts',
      name: 'the used share of limits in Redis > is for the operator of the documentation to read and not to change; who may not read it is told so',
    },
  },
  {
    id: 'scrape-in-one-turn',
    bug: 'a scrape writes all series in one turn of the event loop',
    edits: [{ file: 'runtime/metrics-text.ts', find: 'if (lines.length >= linesPerTurn) await flush();', replace: '' }],
    test: { file: 'runtime/metrics-text.test.ts', name: 'others have their turn while thousands of series are written' },
  },
  {
    id: 'former-owner-stays',
    bug: 'a key whose owner has changed has two series of key_info, and no query can join by key',
    edits: [{ file: 'proxy/proxy-metrics.ts', find: 'if (known !== undefined) keyInfo.remove(toLabels(keyId, known));', replace: '' }],
    test: {
      file: 'proxy/proxy-metrics.test.ts',
      name: 'labels > of an owner are in one series a key: that of its last request',
    },
  },
  {
    id: 'unreadable-untold',
    bug: 'bytes that are no request are refused with a request id that no access line has',
    edits: [{ file: 'proxy/intake/front-door.ts', find: 'if (told !== undefined && begun === undefined) tell(', replace: 'void (' }],
    test: {
      file: 'proxy/access-log.test.ts',
      name: 'one access line, with all that is known and no secret > at the door: bytes that are no request',
    },
  },
  {
    id: 'told-but-once',
    bug: 'a running request that was let in while Redis was away is not told again when Redis loses its data once more',
    edits: [
      {
        file: 'proxy/counters/outage/push-back.ts',
        find: 'isStores(entry) && changed.has(tagOf(entry.admission.keyId))',
        replace: '!entry.here && changed.has(tagOf(entry.admission.keyId))',
      },
    ],
    test: {
      file: 'proxy/counters/redis-push-back.test.ts',
      name: 'what Redis had decided > holds running requests once more that were let in while it was away, when it loses them again',
    },
  },
  {
    id: 'lost-once-more',
    bug: 'what a request costs that was let in while Redis was away is lost with a Redis that loses its data once more',
    edits: [
      {
        file: 'proxy/counters/outage/push-back.ts',
        find: '...(money && { money: { ...money, knownMs: entry.knownMs } })',
        replace: '...(money && { money: entry.here ? money : { ...money, knownMs: entry.knownMs } })',
      },
    ],
    test: {
      file: 'proxy/counters/redis-lost-spend.test.ts',
      name: 'what requests cost that end while Redis loses its data, settled in batches > counts when they were let in while it was away, and it loses its data once more',
    },
  },
];
