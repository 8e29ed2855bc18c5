import { type Check, firstRefusal } from '../../../core/decision.ts';
import type { Refusal } from '../../../core/refusals.ts';
import { filesOf } from '../../bodies/multipart-scan.ts';
import type { Body, Meter, MeterOptions, RequestShape, Surface, SurfaceDriver } from '../dialect.ts';
import { measureForm, toTyped } from '../form-fields.ts';
import { checkBoolean, checkModel, invalid, spliceModel } from '../request-fields.ts';
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
  // samples of the speakers' voices come as data: URLs
  measureForm: (form) =>
    measureForm(form, ({ name, fileName }) => (fileName === undefined && name !== 'known_speaker_references[]' ? undefined : 'audio')),
  toPriceFields: () => ({}),
  spliceFor: ({ shape, upstreamModel }) => spliceModel(shape, upstreamModel),
  withholdsUsage: () => false,
  makeMeter,
};

/** Opus, the leanest of the formats that are taken, needs 6 kbit/s at least for what is no silence (RFC 6716 section 2.1.1). */
const fewestBytesPerSecond = 750;
/** Speech that was compressed for being sent; music, or sound that was not compressed, has more. */
const usualBytesPerSecond = 4000;
/** 32 MiB hold half a day at the leanest rate; no provider takes more than some hours. */
const mostSeconds = 4 * 3600;
/** Nobody goes on speaking faster: some seven words. Half of it is usual. */
const mostTokensPerSecond = 10;
const usualTokensPerSecond = 5;

/** No field of a form tells how long the recording is: its bytes bound it. */
function toShape(body: Body): RequestShape {
  const bytes = filesOf(body, 'file')[0]?.bytes ?? 0;
  const seconds = Math.min(mostSeconds, Math.ceil(bytes / fewestBytesPerSecond) + 1);
  return {
    model: body['model'] as string,
    otherModels: [],
    stream: body['stream'] === true,
    maxOutputTokens: seconds * mostTokensPerSecond,
    choices: 1,
    asksUsage: true,
    counts: { audioMilliseconds: seconds * 1000 },
    estimatedOutputTokens: Math.ceil(toUsualSeconds(seconds) * usualTokensPerSecond),
  };
}

/** Of so many seconds at most. */
function toUsualSeconds(seconds: number): number {
  return Math.max(1, (seconds * fewestBytesPerSecond) / usualBytesPerSecond);
}

function makeMeter(options: MeterOptions): Meter {
  const mostMilliseconds = options.shape?.counts?.audioMilliseconds ?? 0;
  return makeTranscriptMeter(options, Math.ceil(toUsualSeconds(mostMilliseconds / 1000) * 1000));
}

/** Servers that take the address of a recording instead would fetch what nobody has measured. */
function checkFile(body: Body): Refusal | undefined {
  return filesOf(body, 'file').length === 1 ? undefined : invalid('file', 'one recording, with a file name');
}
