import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { makeLogOutput } from './log-output.ts';

let room: number;
let text: string;

beforeEach(() => {
  vi.useFakeTimers();
  room = Infinity;
  text = '';
});
afterEach(() => {
  vi.useRealTimers();
});

function write(bytes: Buffer): number {
  if (room === 0) throw Object.assign(new Error('no room'), { code: 'EAGAIN' });
  const part = bytes.subarray(0, Math.min(room, bytes.length));
  room -= part.length;
  text += part.toString();
  return part.length;
}

it('writes each line at once', () => {
  const output = makeLogOutput({ write, now: () => 0 });
  output.write('one\n');
  expect(text).toBe('one\n');
});

it('keeps lines whole and in order while the reader has no room', async () => {
  const output = makeLogOutput({ write, now: () => 0 });
  room = 2;
  output.write('one\n');
  output.write('two\n');
  expect(text).toBe('on');
  room = Infinity;
  await vi.advanceTimersByTimeAsync(100);
  output.write('three\n');
  expect(text).toBe('one\ntwo\nthree\n');
});

it('drops what does not fit, and says how much it was', async () => {
  const output = makeLogOutput({ write, now: () => 0, mostWaitingBytes: 10 });
  room = 0;
  for (const line of ['one\n', 'two\n', 'three\n', 'four\n']) output.write(line);
  room = Infinity;
  await vi.advanceTimersByTimeAsync(100);
  expect(text.split('\n').slice(0, 2)).toEqual(['one', 'two']);
  expect(JSON.parse(text.split('\n')[2] ?? '')).toMatchObject({ level: 'warn', event: 'log_lines_dropped', lines: 2 });
});

it('gives up at the end of the process on a reader that has stopped', () => {
  let nowMs = 0;
  const output = makeLogOutput({ write, now: () => (nowMs += 100) });
  room = 0;
  output.write('one\n');
  output.flush(500);
  expect(text).toBe('');
});

it('writes no more once there is no reader', () => {
  let calls = 0;
  const output = makeLogOutput({
    write() {
      calls += 1;
      throw Object.assign(new Error('gone'), { code: 'EPIPE' });
    },
    now: () => 0,
  });
  output.write('one\n');
  output.write('two\n');
  output.flush(500);
  expect(calls).toBe(1);
});
