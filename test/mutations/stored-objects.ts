import type { Mutation } from './plant.ts';

export const storedObjectsMutations: readonly Mutation[] = [
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
];
