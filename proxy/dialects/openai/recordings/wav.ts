import type { FileBytes } from '../../../bodies/multipart-scan.ts';

/** PCM, float, A-law, µ-law: every sample has the same number of bits. WAVE_FORMAT_EXTENSIBLE says in its first two bytes of GUID which of them it is. */
const plainFormats: ReadonlySet<number> = new Set([1, 3, 6, 7]);
const extensible = 0xfffe;
/** The format stands before the sound; further chunks before it are small. */
const headBytes = 65_536;

/** Seconds of an uncompressed recording: all of its bytes at the rate that its header tells, which is the rate at which it will be played. Undefined for anything else. Source: RFC 2361; "Multimedia Programming Interface", RIFF WAVE. */
export function toWavSeconds(file: FileBytes): number | undefined {
  const head = file.read(0, Math.min(file.length, headBytes));
  if (head.toString('latin1', 0, 4) !== 'RIFF' || head.toString('latin1', 8, 12) !== 'WAVE') return undefined;
  for (let at = 12; at + 24 <= head.length;) {
    const size = head.readUInt32LE(at + 4);
    if (head.toString('latin1', at, at + 4) === 'fmt ') return readFormat(head.subarray(at + 8, at + 8 + size), file.length);
    at += 8 + size + (size % 2);
  }
  return undefined;
}

function readFormat(format: Buffer, bytes: number): number | undefined {
  if (format.length < 16) return undefined;
  const tag = format.readUInt16LE(0);
  const isPlain = plainFormats.has(tag) || (tag === extensible && format.length >= 26 && plainFormats.has(format.readUInt16LE(24)));
  const samplesPerSecond = format.readUInt32LE(4);
  const bits = format.readUInt16LE(2) * format.readUInt16LE(14);
  // two fields say how many bytes a moment has; the fewer, the longer the recording
  const bytesOfMoment = Math.min(format.readUInt16LE(12), Math.ceil(bits / 8));
  return isPlain && bytesOfMoment > 0 && samplesPerSecond > 0 ? bytes / (bytesOfMoment * samplesPerSecond) : undefined;
}
