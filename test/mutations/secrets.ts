import type { Mutation } from './plant.ts';

export const secretsMutations: readonly Mutation[] = [
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
];
