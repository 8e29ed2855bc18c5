import type { FileBytes } from '../../../bodies/multipart-scan.ts';
import type { SoundBounds } from './sound-bounds.ts';

interface Kind {
  /** by the index in a header; 0 = said nowhere ("free format") */
  readonly kbits: readonly number[];
  readonly samples: number;
  /** of the sampling rates of MPEG-1 */
  readonly part: number;
  /** frames are made of so many bytes at a time */
  readonly slotBytes: number;
}

const kbitsI = [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448];
const kbitsII = [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384];
const kbitsIII = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const kbitsLowI = [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256];
const kbitsLow = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];

/** By the two bits of the version and the two of the layer. Sources: ISO/IEC 11172-3 and 13818-3; MPEG-2.5 has their tables at half their rates. */
const kinds: ReadonlyMap<number, Kind> = new Map([
  [0b1111, { kbits: kbitsI, samples: 384, part: 1, slotBytes: 4 }],
  [0b1110, { kbits: kbitsII, samples: 1152, part: 1, slotBytes: 1 }],
  [0b1101, { kbits: kbitsIII, samples: 1152, part: 1, slotBytes: 1 }],
  ...[0b1000, 0b0000].flatMap((version): [number, Kind][] => {
    const part = version === 0 ? 4 : 2;
    return [
      [version | 3, { kbits: kbitsLowI, samples: 384, part, slotBytes: 4 }],
      [version | 2, { kbits: kbitsLow, samples: 1152, part, slotBytes: 1 }],
      [version | 1, { kbits: kbitsLow, samples: 576, part, slotBytes: 1 }],
    ];
  }),
]);
const samplesPerSecond = [44_100, 48_000, 32_000];

interface Frame {
  readonly bytes: number;
  readonly seconds: number;
}

/** Looked for in no more places than these: whoever sends frames that are none must not keep a process busy. */
const mostTags = 16;
const mostGaps = 200;

/** What precedes the sound: an ID3 tag, of which there may be several. Source: id3.org, ID3v2.4.0, 3.1. */
function skipTags(file: FileBytes): number {
  let at = 0;
  for (let tags = 0; tags < mostTags; tags += 1) {
    const head = file.read(at, at + 10);
    if (head.length < 10 || head.toString('latin1', 0, 3) !== 'ID3') break;
    const size = ((head[6] ?? 0) << 21) | ((head[7] ?? 0) << 14) | ((head[8] ?? 0) << 7) | (head[9] ?? 0);
    at += 10 + size + ((head[5] ?? 0) & 0x10 ? 10 : 0);
  }
  return at;
}

/**
 * Seconds of an MPEG recording, by all of its frames: only they tell, since the rate may change with each. What is no frame counts as sound of the fewest bytes. Undefined for what does not begin
 * with two frames.
 */
export function toMp3Seconds(file: FileBytes, { fewestBytesPerSecond, mostSeconds }: SoundBounds): number | undefined {
  const start = skipTags(file);
  const first = readFrame(file, start);
  // a few bits look like a header in anything
  if (first === undefined || readFrame(file, start + first.bytes) === undefined) return undefined;
  let seconds = 0;
  let gaps = 0;
  let at = start;
  while (at < file.length && seconds < mostSeconds && gaps < mostGaps) {
    const frame = readFrame(file, at);
    const next = frame === undefined ? findSync(file, at + 1) : at + frame.bytes;
    seconds += frame?.seconds ?? (next - at) / fewestBytesPerSecond;
    if (frame === undefined) gaps += 1;
    at = next;
  }
  return seconds + Math.max(0, file.length - at) / fewestBytesPerSecond;
}

/** Eleven bits that are set, then version, layer, one more, bitrate, sampling rate, padding. */
function readFrame(file: FileBytes, at: number): Frame | undefined {
  const head = file.read(at, at + 4);
  if (head.length < 4) return undefined;
  const header = head.readUInt32BE();
  const kind = header >>> 21 === 0x7ff ? kinds.get((header >>> 17) & 15) : undefined;
  const kbits = kind?.kbits[(header >>> 12) & 15] ?? 0;
  const rate = samplesPerSecond[(header >>> 10) & 3] ?? 0;
  if (kind === undefined || kbits === 0 || rate === 0) return undefined;
  const { samples, part, slotBytes } = kind;
  const slots = Math.floor((samples * 125 * kbits * part) / (rate * slotBytes)) + ((header >>> 9) & 1);
  return { bytes: slots * slotBytes, seconds: (samples * part) / rate };
}

const syncBlock = 65_536;

/** Offset of the next byte with which a frame may begin; the end where there is none. */
function findSync(file: FileBytes, from: number): number {
  for (let at = from; at < file.length; at += syncBlock) {
    const found = file.read(at, Math.min(file.length, at + syncBlock)).indexOf(0xff);
    if (found >= 0) return at + found;
  }
  return file.length;
}
