import type { Mutation } from './plant.ts';

export const redisOutageMutations: readonly Mutation[] = [
  // A store that is away, slow, or has lost what it had
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
];
