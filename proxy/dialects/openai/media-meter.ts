import { emptyUsage, parseOpenAIMediaUsage, type Usage } from '../../../core/usage.ts';
import type { Meter, Metered, MeterOptions } from '../dialect.ts';
import { makeMemberScan, type MemberScan } from '../member-scan.ts';

/** What has been seen of an answer about images or sound. */
interface Seen {
  /** of all parts that have told theirs */
  readonly told: Usage | undefined;
  /** complete ones */
  readonly images: number;
  /** the provider has ended the answer */
  readonly ended: boolean;
}

/** Meter of one JSON object with `usage` and, where it is about images, a list `data` of them. */
export function makeMediaJsonMeter(options: MeterOptions): Meter {
  const scan = makeMemberScan('usage', 'svg_usage', 'data');
  let ended = false;
  return {
    push(chunk) {
      scan.push(chunk);
      return [chunk];
    },
    end() {
      ended = true;
      return [];
    },
    usage: () => toMetered(options, { told: findTold(scan), images: scan.items('data'), ended }),
  };
}

/** The author of an SVG is another model, whose tokens stand beside those of the images. Source: OpenAI API reference, "ImagesResponse". */
function findTold(scan: MemberScan): Usage | undefined {
  const ofImages = parseOpenAIMediaUsage(scan.value('usage'));
  const ofAuthor = parseOpenAIMediaUsage(scan.value('svg_usage'));
  return ofImages === undefined || ofAuthor === undefined ? ofImages : add(ofImages, ofAuthor);
}

/**
 * Meter of an event stream of which some events tell usage: each completed image its own, speech and transcripts all at the end.
 * Sources: OpenAI API reference, "image_generation.completed", "image_edit.completed", "speech.audio.done", "transcript.text.done".
 */
export function makeMediaStreamMeter(options: MeterOptions): Meter {
  let told: Usage | undefined;
  let images = 0;
  let ended = false;
  const events = makeEventScan((event) => {
    const type = event.value('type');
    if (typeof type === 'string' && type.startsWith('image_') && type.endsWith('.completed')) images += 1;
    const usage = parseOpenAIMediaUsage(event.value('usage'));
    if (usage !== undefined) told = told === undefined ? usage : add(told, usage);
  });
  return {
    push(chunk) {
      events.push(chunk);
      return [chunk];
    },
    end() {
      events.end();
      ended = true;
      return [];
    },
    usage: () => toMetered(options, { told, images, ended }),
  };
}

/** Meter of an answer that tells nothing, such as sound. */
export function makeSilentMeter(options: MeterOptions): Meter {
  return { push: (chunk) => [chunk], end: () => [], usage: () => toMetered(options, { told: undefined, images: 0, ended: false }) };
}

/** An image that was asked for and is not there yet may be charged all the same, unless the provider has ended its answer without it. */
function toMetered({ shape, estimatedInputTokens }: MeterOptions, { told, images, ended }: Seen): Metered {
  const { counts = {}, estimatedOutputTokens = 0 } = shape ?? {};
  const asked = counts.images ?? 0;
  const made = ended && images > 0 ? images : Math.max(images, asked);
  const all = counts.images === undefined ? counts : { ...counts, images: made };
  const ofOne = estimatedOutputTokens / Math.max(1, asked);
  if (told === undefined) {
    const outputTokens = Math.ceil(asked === 0 ? estimatedOutputTokens : ofOne * made);
    const images = asked === 0 ? {} : { imageOutputTokens: outputTokens };
    return { usage: { ...emptyUsage, inputTokens: estimatedInputTokens, outputTokens, ...images, ...all }, exact: false };
  }
  const missing = ended ? 0 : Math.max(0, made - images);
  return { usage: { ...all, ...addImages(told, Math.ceil(missing * ofOne)) }, exact: missing === 0 };
}

function addImages(usage: Usage, tokens: number): Usage {
  if (tokens === 0) return usage;
  return { ...usage, outputTokens: usage.outputTokens + tokens, imageOutputTokens: (usage.imageOutputTokens ?? 0) + tokens };
}

function add(one: Usage, other: Usage): Usage {
  return {
    ...other,
    inputTokens: one.inputTokens + other.inputTokens,
    cachedInputTokens: one.cachedInputTokens + other.cachedInputTokens,
    outputTokens: one.outputTokens + other.outputTokens,
    imageInputTokens: (one.imageInputTokens ?? 0) + (other.imageInputTokens ?? 0),
    imageOutputTokens: (one.imageOutputTokens ?? 0) + (other.imageOutputTokens ?? 0),
  };
}

const lineFeed = 0x0a;
const dataField = Buffer.from('data:');

/** Looks at the JSON of each event while it passes: one with an image has megabytes, which nobody wants to hold. JSON has no line breaks, so that an event is one line. */
function makeEventScan(onEvent: (event: MemberScan) => void): { push(chunk: Buffer): void; end(): void } {
  let matched = 0;
  let scan: MemberScan | undefined;

  function startLine(): void {
    if (scan !== undefined) onEvent(scan);
    scan = undefined;
    matched = 0;
  }

  function read(part: Buffer): void {
    let index = 0;
    while (scan === undefined && index < part.length && part[index] === dataField[matched]) {
      matched += 1;
      index += 1;
      if (matched === dataField.length) scan = makeMemberScan('type', 'usage');
    }
    if (scan !== undefined) scan.push(part.subarray(index));
    else if (index < part.length) matched = dataField.length;
  }

  return {
    push(chunk) {
      let start = 0;
      for (let end = chunk.indexOf(lineFeed); end !== -1; end = chunk.indexOf(lineFeed, start)) {
        read(chunk.subarray(start, end));
        startLine();
        start = end + 1;
      }
      read(chunk.subarray(start));
    },
    end: startLine,
  };
}
