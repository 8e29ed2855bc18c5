import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeMp3, makeOggOpus, makePage, makeWav } from '../../../../test/support/recording-files.ts';
import { makeByteList } from '../../../bodies/byte-list.ts';
import { toMostSeconds } from './recording-length.ts';

/** In pieces as they arrive. */
function secondsOf(bytes: Buffer, pieceBytes = 65_536): number {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes) pieces.push(bytes.subarray(at, at + pieceBytes));
  return toMostSeconds(makeByteList(pieces));
}

/** So many seconds, and what rounding adds. */
const about = (seconds: number): unknown => expect.toSatisfy((value: number) => value >= seconds && value <= seconds + 2, `${seconds} s`);
const leanest = (bytes: number): number => Math.ceil(bytes / 750) + 1;

describe('how long a recording is at most', () => {
  it.each([
    ['WAV', makeWav({ samplesPerSecond: 16_000, seconds: 100 }), 100],
    ['WAV of a telephone', makeWav({ samplesPerSecond: 8000, seconds: 100 }), 100],
    ['MP3', makeMp3({ kbits: 128, seconds: 100 }), 100],
    ['MP3 of speech', makeMp3({ kbits: 32, seconds: 100 }), 100],
    ['MP2 at half the rate', Buffer.alloc(144_000, frame(0xfff48400, 384)), 18],
    ['MP3 at a quarter of the rate', Buffer.alloc(72_000, frame(0xffe31800, 72)), 72],
    ['MP3 of several rates', Buffer.concat([makeMp3({ kbits: 320, seconds: 50 }), makeMp3({ kbits: 32, seconds: 50 }).subarray(266)]), 100],
    ['Opus', makeOggOpus({ seconds: 100, bytesPerSecond: 4000 }), 100],
    ['Opus in packets of several segments', makeOggOpus({ seconds: 100, bytesPerSecond: 20_000 }), 100],
  ])('%s tells it', (_what, bytes, seconds) => {
    expect([secondsOf(bytes), secondsOf(bytes, 1000), secondsOf(bytes, 7)]).toEqual([about(seconds), about(seconds), about(seconds)]);
  });

  it('a WAV that says more bytes a moment than its samples have, or that there is no sound in it, is as long as it is', () => {
    const bytes = makeWav({ samplesPerSecond: 16_000, seconds: 100 });
    bytes.writeUInt16LE(2000, 32);
    bytes.writeUInt32LE(0, 40);
    expect(secondsOf(bytes)).toEqual(about(100));
  });

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['noise', Buffer.alloc(75_000, 0x61)],
    ['bytes that are all 1', Buffer.alloc(75_000, 0xff)],
    ['a WAV of a format with a rate of its own', compressed()],
    ['a WAV without a format', Buffer.concat([Buffer.from('RIFF\0\0\0\0WAVEdata\xff\xff\xff\xff', 'latin1'), Buffer.alloc(75_000)])],
    ['an MP4', Buffer.concat([Buffer.from('\0\0\0\x18ftypM4A \0\0\0\0', 'latin1'), Buffer.alloc(75_000)])],
    ['Vorbis', Buffer.concat([makePage([Buffer.from('\x01vorbis')]), makePage([Buffer.alloc(50_000)])])],
    ['one MPEG frame', Buffer.concat([makeMp3({ kbits: 128, seconds: 0.01 }), Buffer.alloc(75_000)])],
  ])('%s tells nothing: as much as so many bytes may hold', (_what, bytes) => expect(secondsOf(bytes)).toBe(leanest(bytes.length)));

  it('what stands between frames, or behind the last page, may be sound', () => {
    const mp3 = Buffer.concat([makeMp3({ kbits: 128, seconds: 10 }), Buffer.alloc(75_000, 0x61), makeMp3({ kbits: 128, seconds: 10 })]);
    expect(secondsOf(mp3)).toBeGreaterThanOrEqual(120);
    // a page that is none: nothing is believed
    expect(secondsOf(Buffer.concat([makeOggOpus({ seconds: 10, bytesPerSecond: 4000 }), Buffer.alloc(75_000)]))).toBeGreaterThan(100);
  });

  it('is four hours and no more', () => expect(secondsOf(makeWav({ samplesPerSecond: 100, seconds: 100_000 }))).toBe(14_400));

  it('is never less for a recording that is longer', () => {
    const files = fc.constantFrom(
      (seconds: number) => makeWav({ samplesPerSecond: 8000, seconds }),
      (seconds: number) => makeMp3({ kbits: 64, seconds }),
      (seconds: number) => makeOggOpus({ seconds, bytesPerSecond: 1000 }),
    );
    fc.assert(
      fc.property(files, fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 5000 }), (make, seconds, pieceBytes) => {
        expect(secondsOf(make(seconds), pieceBytes)).toEqual(about(seconds));
      }),
      { numRuns: 60 },
    );
  });

  // each of these takes minutes when something is read again and again
  it.each([
    ['frames that are none', Buffer.concat([makeMp3({ kbits: 32, seconds: 1 }), Buffer.alloc(20_000_000, 0xff)])],
    ['tags', Buffer.alloc(20_000_000, Buffer.from([0x49, 0x44, 0x33, 4, 0, 0, 0, 0, 0, 0]))],
    ['empty pages', Buffer.concat([makeOggOpus({ seconds: 1, bytesPerSecond: 1000 }), Buffer.alloc(20_000_000, makePage([]))])],
    ['small frames', makeMp3({ kbits: 32, seconds: 5000 })],
  ])('is known at once of %s', (_what, bytes) => {
    const startedMs = performance.now();
    secondsOf(bytes);
    expect(performance.now() - startedMs).toBeLessThan(10_000);
  });
});

function frame(header: number, bytes: number): Buffer {
  const whole = Buffer.alloc(bytes);
  whole.writeUInt32BE(header);
  return whole;
}

/** ADPCM. */
function compressed(): Buffer {
  const bytes = makeWav({ samplesPerSecond: 8000, seconds: 10 });
  bytes.writeUInt16LE(0x11, 20);
  return bytes;
}
