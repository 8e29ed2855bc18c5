import type { Mutation } from './plant.ts';

export const dialectsMutations: readonly Mutation[] = [
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
    id: 'account-shown-in-stream',
    bug: 'an error within a stream that speaks of our account reaches the client',
    edits: [{ file: 'proxy/answers/client-answer.ts', find: 'return cut?.shown ?? pieces;', replace: 'return pieces;' }],
    test: {
      file: 'proxy/attempts/account-in-stream.test.ts',
      name: 'of chat completions shows nobody what it says of the account at last, and asks that account no more',
    },
  },
  {
    id: 'account-in-stream-forgotten',
    bug: 'a credential whose account is broke is asked again and again where the provider says so within a stream',
    edits: [{ file: 'proxy/attempts/attempt-health.ts', find: 'failed === undefined ? ends', replace: 'true ? ends' }],
    test: {
      file: 'proxy/attempts/account-in-stream.test.ts',
      name: 'of chat completions shows nobody what it says of the account at last, and asks that account no more',
    },
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

  // What a request names without saying so
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
];
