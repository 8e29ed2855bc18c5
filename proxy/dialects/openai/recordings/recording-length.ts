import type { FileBytes } from '../../../bodies/multipart-scan.ts';
import { toMp3Seconds } from './mp3.ts';
import { toOggSeconds } from './ogg.ts';
import { toWavSeconds } from './wav.ts';

/** Opus, the leanest of the formats that are taken, needs 6 kbit/s at least for what is no silence (RFC 6716 section 2.1.1). */
const fewestBytesPerSecond = 750;
/** 32 MiB hold half a day at the leanest rate; no provider takes more than some hours. */
const mostSeconds = 4 * 3600;

/** A recording is looked into once, whoever asks. */
const known = new WeakMap<FileBytes, number>();

/**
 * The most seconds that a recording has: what its sound itself tells, where it is in a format whose sound does (WAV, MP3, Opus in Ogg); else what so many bytes may hold. A length that only
 * stands somewhere in a header (MP4, WebM, FLAC) can say anything, and is not believed.
 */
export function toMostSeconds(file: FileBytes): number {
  const seconds = known.get(file) ?? look(file);
  known.set(file, seconds);
  return seconds;
}

function look(file: FileBytes): number {
  const bounds = { fewestBytesPerSecond, mostSeconds };
  const told = toWavSeconds(file) ?? toOggSeconds(file, bounds) ?? toMp3Seconds(file, bounds);
  // one of them is for what rounding and the frames around it add
  return Math.min(mostSeconds, Math.ceil(told ?? file.length / fewestBytesPerSecond) + 1);
}
