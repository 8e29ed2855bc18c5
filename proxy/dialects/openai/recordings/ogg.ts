import type { FileBytes } from '../../../bodies/multipart-scan.ts';
import type { SoundBounds } from './sound-bounds.ts';

/** Samples of 48 kHz in one frame, by the upper five bits of the first byte of a packet. Source: RFC 6716 section 3.1, table 2. */
const silk = [480, 960, 1920, 2880];
const hybrid = [480, 960];
const celt = [120, 240, 480, 960];
const frameSamples: readonly number[] = [silk, silk, silk, hybrid, hybrid, celt, celt, celt, celt].flat();
const samplesPerSecond = 48_000;
const headerBytes = 27;

/** Some hours of pages with one packet each; empty pages must not keep a process busy. */
const mostPages = 250_000;

/**
 * Seconds of speech in Opus, by what each packet says of itself: a page's own position may say anything. What is beyond so many pages counts as sound of the fewest bytes. Undefined for other sounds
 * in Ogg, and where a page is not followed by another one. Sources: RFC 3533 section 6 (pages), RFC 7845 (Opus in Ogg), RFC 6716 section 3 (packets).
 */
export function toOggSeconds(file: FileBytes, { fewestBytesPerSecond, mostSeconds }: SoundBounds): number | undefined {
  let samples = 0;
  let isInPacket = false;
  let at = 0;
  for (let pages = 0; at < file.length && pages < mostPages && samples < mostSeconds * samplesPerSecond; pages += 1) {
    const page = readPage(file, at, isInPacket);
    if (page === undefined || (pages === 0 && page.headers === 0)) return undefined;
    samples += page.samples;
    ({ isInPacket } = page);
    at = page.end;
  }
  return samples / samplesPerSecond + Math.max(0, file.length - at) / fewestBytesPerSecond;
}

interface Page {
  readonly end: number;
  readonly samples: number;
  /** packets that say what the stream is, and no sound */
  readonly headers: number;
  /** its last packet goes on in the next page */
  readonly isInPacket: boolean;
}

function readPage(file: FileBytes, at: number, wasInPacket: boolean): Page | undefined {
  const head = file.read(at, at + headerBytes + 255);
  const count = head[26] ?? 0;
  if (head.toString('latin1', 0, 4) !== 'OggS' || head.length < headerBytes + count) return undefined;
  let packet = at + headerBytes + count;
  let samples = 0;
  let headers = 0;
  let isInPacket = wasInPacket;
  for (const size of head.subarray(headerBytes, headerBytes + count)) {
    const start = isInPacket ? undefined : file.read(packet, packet + 8);
    if (start !== undefined && isHeader(start)) headers += 1;
    else if (start !== undefined) samples += countSamples(start);
    isInPacket = size === 255;
    packet += size;
  }
  return { end: packet, samples, headers, isInPacket };
}

function isHeader(start: Buffer): boolean {
  const text = start.toString('latin1');
  return text === 'OpusHead' || text === 'OpusTags';
}

/** One frame, two, or as many as the second byte says; 120 ms at most. */
function countSamples(start: Buffer): number {
  const [first, second = 0] = start;
  if (first === undefined) return 0;
  const frames = (first & 3) === 0 ? 1 : (first & 3) === 3 ? second & 0x3f : 2;
  return Math.min(frames * (frameSamples[first >> 3] ?? 0), 5760);
}
