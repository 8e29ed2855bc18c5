import { type Check, firstRefusal } from '../../../core/decision.ts';
import type { Refusal } from '../../../core/refusals.ts';
import type { Prompt } from '../../../core/estimate.ts';
import { filesOf, type MultipartBody } from '../../bodies/multipart-scan.ts';
import type { Body, Meter, MeterOptions, RequestShape, Surface, SurfaceDriver } from '../dialect.ts';
import { measureForm, toTyped } from '../form-fields.ts';
import { checkBoolean, checkModel, invalid, spliceModel } from '../request-fields.ts';
import { toMostSeconds } from './recordings/recording-length.ts';
import { makeTranscriptMeter } from './transcript-meter.ts';

const shared = {
  dialect: 'OpenAI',
  method: 'POST',
  scope: 'audio',
  operation: 'audio',
  body: 'multipart',
  metered: true,
  allowedQuery: [],
} as const;

const surfaces: readonly Surface[] = [
  { ...shared, name: 'audio_transcriptions', path: '/v1/audio/transcriptions', upstreamPath: '/v1/audio/transcriptions' },
  { ...shared, name: 'audio_translations', path: '/v1/audio/translations', upstreamPath: '/v1/audio/translations' },
];

const checks: readonly Check<Body>[] = [checkModel, checkFile, checkBoolean('stream')];

/** Text from a recording. Sources: OpenAI API reference, "Create transcription", "Create translation". */
export const transcriptsDriver: SurfaceDriver = {
  surfaces,
  parseShape(body) {
    const typed = toTyped(body, { numbers: [], booleans: ['stream'] });
    const refusal = firstRefusal(checks, typed);
    return refusal === undefined ? { shape: toShape(typed) } : { refusal };
  },
  measure() {
    throw new Error('a recording comes in a form');
  },
  measureForm: measureRecording,
  toPriceFields: () => ({}),
  spliceFor: ({ shape, upstreamModel }) => spliceModel(shape, upstreamModel),
  withholdsUsage: () => false,
  makeMeter,
};

/** Nobody goes on speaking faster: some seven words. Half of it is usual. */
const mostTokensPerSecond = 10;
const usualTokensPerSecond = 5;
/** Of sound, where it is counted in tokens: one for each tenth of a second. Source: OpenAI pricing, gpt-4o-transcribe: 6 dollars a million tokens are 0.006 dollars for a minute with its output. */
const inputTokensPerSecond = 10;

/** No field of a form tells how long the recording is: it is looked into. */
function toShape(body: Body): RequestShape {
  const seconds = toSeconds(body);
  return {
    model: body['model'] as string,
    otherModels: [],
    stream: body['stream'] === true,
    maxOutputTokens: seconds * mostTokensPerSecond,
    choices: 1,
    asksUsage: true,
    counts: { audioMilliseconds: seconds * 1000 },
    estimatedOutputTokens: seconds * usualTokensPerSecond,
  };
}

function toSeconds(body: Body): number {
  const [file] = filesOf(body, 'file');
  return file === undefined ? 1 : toMostSeconds(file);
}

/** Samples of the speakers' voices come as data: URLs. */
function measureRecording(form: MultipartBody): Prompt {
  const [file] = filesOf(form.value, 'file');
  const prompt = measureForm(form, ({ name, fileName }) =>
    fileName === undefined && name !== 'known_speaker_references[]' ? undefined : 'audio',
  );
  const audioBytes = Math.max(0, prompt.audioBytes - (file?.length ?? 0));
  return { ...prompt, audioBytes, tokens: prompt.tokens + toSeconds(form.value) * inputTokensPerSecond };
}

/** What tells nothing is charged as long as it may be, which was reserved: nobody else knows how long it is. */
function makeMeter(options: MeterOptions): Meter {
  return makeTranscriptMeter(options, options.shape?.counts?.audioMilliseconds ?? 0);
}

/** Servers that take the address of a recording instead would fetch what nobody has measured. */
function checkFile(body: Body): Refusal | undefined {
  return filesOf(body, 'file').length === 1 ? undefined : invalid('file', 'one recording, with a file name');
}
