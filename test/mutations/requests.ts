import { redisMoney } from './named-tests.ts';
import type { Mutation } from './plant.ts';

export const requestsMutations: readonly Mutation[] = [
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
