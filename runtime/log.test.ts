import { expect, test } from 'vitest';
import { Secret } from '../core/secret.ts';
import { type Log, makeLog } from './log.ts';

function capture(write: (log: Log) => void): { text: string; line: Record<string, unknown> } {
  let text = '';
  write(makeLog({ level: 'debug', name: 'test', destination: { write: (part: string) => void (text += part) } }));
  return { text, line: JSON.parse(text.split('\n')[0] ?? '') as Record<string, unknown> };
}

function apiException(): Error {
  const error = new Error('HTTP-Code: 409 Body: {"data":"hunter2"} Headers: {"authorization":"Bearer hunter2"}');
  error.name = 'ApiException';
  return Object.assign(error, { code: 409, body: '{"data":"hunter2"}', headers: { authorization: 'Bearer hunter2' } });
}

test('a line is one JSON object with level, name, message and fields', () => {
  const { line, text } = capture((log) => log.info({ status: 200 }, 'request'));
  expect(line).toMatchObject({ level: 'info', name: 'test', status: 200, msg: 'request' });
  expect(text.endsWith('}\n')).toBe(true);
});

test('a Secret prints [secret] wherever it stands', () => {
  const { text } = capture((log) => {
    const secret = new Secret('hunter2');
    log.info({ secret, nested: { list: [secret] } }, 'x');
    log.child({ secret }).warn(`got ${String(secret)}`);
    log.info('with %s and %o and %j', secret, { secret }, secret);
  });
  expect(text).not.toContain('hunter2');
  expect(text.split('[secret]').length).toBeGreaterThan(5);
});

test.each(['authorization', 'Authorization', 'x-api-key', 'X_API_KEY', 'api-key', 'x-goog-api-key', 'set-cookie', 'proxyAuthorization'])(
  'the value of %s is never shown',
  (name) => {
    const { text } = capture((log) => {
      log.info({ [name]: 'hunter2', request: { headers: { [name]: ['hunter2'] } } }, 'x');
      log.child({ [name]: 'hunter2' }).info('x');
    });
    expect(text).not.toContain('hunter2');
  },
);

test.each([
  ['as the first argument', (log: Log) => log.error(apiException())],
  ['as the first argument with a message', (log: Log) => log.error(apiException(), 'failed')],
  ['as err', (log: Log) => log.error({ err: apiException() }, 'failed')],
  ['under another name', (log: Log) => log.error({ problem: apiException(), list: [apiException()] }, 'failed')],
  ['as a cause', (log: Log) => log.error(new Error('outer', { cause: apiException() }))],
  ['bound to a child', (log: Log) => log.child({ problem: apiException() }).error('failed')],
])('an error that carries an HTTP answer does not show it: %s', (_case, write) => {
  const { text } = capture(write);
  expect(text).not.toContain('hunter2');
  expect(text).toContain('ApiException');
  expect(text).toContain('409');
});

test('a plain error shows name, message, code, cause and stack, and nothing else', () => {
  const error = Object.assign(new TypeError('no such thing', { cause: new Error('below') }), { code: 'ENOENT', other: 'hunter2' });
  const { line } = capture((log) => log.error({ err: error }, 'failed'));
  expect(line['err']).toEqual({
    name: 'TypeError',
    message: 'no such thing',
    code: 'ENOENT',
    cause: { name: 'Error', message: 'below', stack: expect.stringContaining('at ') as string },
    stack: expect.stringContaining('log.test.ts') as string,
  });
});

test('an error without a text of its own becomes the message', () => {
  expect(capture((log) => log.warn(new Error('no such thing'))).line['msg']).toBe('no such thing');
});
