import { describe, expect, it } from 'vitest';
import { makeByteList } from './byte-list.ts';
import { filesOf, mayHold, type MultipartBody, scanMultipart, spliceMultipart } from './multipart-scan.ts';

const boundary = '----b0undary';
const disposition = (rest: string): string => `Content-Disposition: form-data; ${rest}`;
const part = (headers: string, value: string): string => `--${boundary}\r\n${headers}\r\n\r\n${value}\r\n`;
const field = (name: string, value: string): string => part(disposition(`name="${name}"`), value);
const file = part(`${disposition('name="file"; filename="a.mp3"')}\r\nContent-Type: audio/mpeg`, 'RIFF\r\n\r\n--\0\xff');
const end = `--${boundary}--`;
const model = field('model', 'whisper-1');

/** cut into pieces of three bytes: every seam is tried */
function scan(text: string, given = boundary) {
  const bytes = Buffer.from(text, 'latin1');
  const pieces = Array.from({ length: Math.ceil(bytes.length / 3) }, (_, index) => bytes.subarray(index * 3, index * 3 + 3));
  return scanMultipart(makeByteList(pieces), given);
}

function read(text: string): MultipartBody {
  const scanned = scan(text);
  if (!scanned.ok) throw new Error(scanned.refusal.message);
  return scanned.body;
}

describe('scanMultipart', () => {
  it('reads the texts and finds the bytes of every part', () => {
    const text = file + model + field('timestamp_granularities[]', 'word') + field('timestamp_granularities[]', 'segment') + end;
    const { parts, value } = read(text);
    expect(value).toMatchObject({ model: 'whisper-1', 'timestamp_granularities[]': 'word' });
    expect(
      filesOf(value, 'file').map((file) => [file.length, file.read(2, 5).length, file.read(10, 99).length, file.read(99, 999).length]),
    ).toEqual([[12, 3, 2, 0]]);
    expect([filesOf(value, 'model'), filesOf({ file: [{ length: 1 }] }, 'file')]).toEqual([[], []]);
    expect(parts.map(({ name, fileName, contentType }) => [name, fileName, contentType])).toEqual([
      ['file', 'a.mp3', 'audio/mpeg'],
      ['model', undefined, undefined],
      ['timestamp_granularities[]', undefined, undefined],
      ['timestamp_granularities[]', undefined, undefined],
    ]);
    expect(parts.map(({ valueStart, valueEnd }) => text.slice(valueStart, valueEnd))).toEqual([
      'RIFF\r\n\r\n--\0\xff',
      'whisper-1',
      'word',
      'segment',
    ]);
  });

  it.each([
    ['a line break at the end', `${model}${end}\r\n`],
    [
      'a name without quotes and both kinds of file name, as .NET writes them',
      part(disposition("name=file; filename=a.mp3; filename*=utf-8''a.mp3"), 'x') + part(disposition('name=model'), 'whisper-1') + end,
    ],
    [
      'headers in lower case and in another order',
      part(`content-type: text/plain; charset=utf-8\r\ncontent-disposition: form-data; name="model"`, 'whisper-1') + end,
    ],
    [
      'the length of the part and a coding that changes nothing',
      part(`${disposition('name="model"')}\r\nContent-Length: 9\r\nContent-Transfer-Encoding: 8bit`, 'whisper-1') + end,
    ],
    [
      'a file name before the name, with a path and letters',
      part(disposition('filename="C:\\\xe4 b\\c.mp3"; name="file"'), 'x') + model + end,
    ],
    ['an empty file and an empty text', part(disposition('name="file"; filename=""'), '') + field('prompt', '') + model + end],
    [
      'what looks like a boundary and is none',
      field('prompt', '--\r\n--\r\n-----b0undarz\r\n----b0undary'.replaceAll('----b0undary', '---b0undary')) + model + end,
    ],
  ])('takes %s', (_what, text) => expect(read(text).value).toMatchObject({ model: 'whisper-1' }));

  it.each([
    ['nothing', ''],
    ['no boundary', 'model=whisper-1'],
    ['something before the first boundary', `\r\n${model}${end}`],
    ['a preamble', `This is a form.\r\n${model}${end}`],
    ['another boundary', model.replaceAll('b0', 'c0') + end.replaceAll('b0', 'c0')],
    ['no end', model],
    ['half an end', `${model}--${boundary}-`],
    ['a part that breaks off', `--${boundary}\r\n${disposition('name="model"')}\r\n\r\nwhisper-1`],
    ['headers that break off', `--${boundary}\r\n${disposition('name="model"')}\r\n`],
    ['something after the end', `${model}${end}x`],
    ['a second form after the end', `${model}${end}\r\n${model}${end}`],
    ['two line breaks after the end', `${model}${end}\r\n\r\n`],
    ['blanks after a boundary', `--${boundary} \r\n${disposition('name="model"')}\r\n\r\nwhisper-1\r\n${end}`],
    ['line breaks of other systems', (model + end).replaceAll('\r\n', '\n')],
    ['a boundary after a bare line feed', field('prompt', `a\n--${boundary}\r\n${disposition('name="x"')}\r\n\r\ny`) + model + end],
    ['a boundary in the middle of a line', field('prompt', `a--${boundary}`) + model + end],
    ['a longer boundary', field('prompt', `a\r\n--${boundary}x`) + model + end],
    ['a boundary among the headers', `--${boundary}\r\n--${boundary}\r\n${disposition('name="model"')}\r\n\r\nx\r\n${end}`],
    ['a value without its line break', `--${boundary}\r\n${disposition('name="model"')}\r\n\r\n--${boundary}--`],
    ['no headers', `--${boundary}\r\n\r\nwhisper-1\r\n${end}`],
    ['no Content-Disposition', part('Content-Type: text/plain', 'whisper-1') + end],
    ['a Content-Disposition of another kind', part('Content-Disposition: attachment; name="model"', 'whisper-1') + end],
    ['two of them', part(`${disposition('name="model"')}\r\n${disposition('name="prompt"')}`, 'whisper-1') + end],
    ['a second type', part(`${disposition('name="x"')}\r\nContent-Type: text/plain\r\ncontent-type: a/b`, 'x') + model + end],
    ['a folded header', part('Content-Disposition: form-data;\r\n name="model"', 'whisper-1') + end],
    ['a line that is no header', part(`${disposition('name="x"')}\r\nnonsense`, 'x') + model + end],
    ['a blank before the colon', part('Content-Disposition : form-data; name="model"', 'whisper-1') + end],
    ['a bare line feed in a header', part(`${disposition('name="x"')}\nContent-Disposition: form-data; name="model"`, 'o3') + model + end],
    ['a bare carriage return in a header', part(`${disposition('name="x"')}\rX: y`, 'x') + model + end],
    ['a NUL in a file name', part(disposition('name="file"; filename="a\0b"'), 'x') + model + end],
    ['a name without an end', part(disposition('name="model'), 'whisper-1') + end],
    ['no name', part(disposition('filename="a"'), 'x') + model + end],
    ['an empty name', field('', 'x') + model + end],
    ['an escaped letter in a name', part(disposition('name="mo\\del"'), 'o3') + model + end],
    ['a percent escape in a name', field('mod%65l', 'o3') + model + end],
    ['an encoded word as a name', field('=?utf-8?q?model?=', 'o3') + model + end],
    ['letters of other scripts in a name', field('m\xf6del', 'o3') + model + end],
    ['a blank in a name', field('model ', 'o3') + model + end],
    ['a long name', field('x'.repeat(129), 'x') + model + end],
    ['name*', part(disposition("name*=utf-8''model"), 'o3') + model + end],
    ['name* beside name', part(disposition('name="x"; name*=utf-8\'\'model'), 'o3') + model + end],
    ['a name in pieces', part(disposition('name*0="mod"; name*1="el"'), 'o3') + model + end],
    ['two names', part(disposition('name="x"; name="model"'), 'o3') + model + end],
    ['a name in another case', part(disposition('name="x"; Name="model"'), 'o3') + model + end],
    ['a name hidden behind an escaped quote', part(disposition('filename="x\\"; name="file"'), 'o3') + model + end],
    ['filename* alone', part(disposition('name="file"; filename*=utf-8\'\'a'), 'x') + model + end],
    ['another parameter', part(disposition('name="x"; size=3'), 'x') + model + end],
    ['text after the parameters', part(disposition('name="x" y'), 'x') + model + end],
    ['base64', part(`${disposition('name="model"')}\r\nContent-Transfer-Encoding: base64`, 'bzM=') + end],
    ['base64 of a file', part(`${disposition('name="file"; filename="a"')}\r\nContent-Transfer-Encoding: base64`, 'bzM=') + model + end],
    ['parts inside a part', part(`${disposition('name="model"')}\r\nContent-Type: multipart/mixed; boundary=x`, '--x--') + end],
    ['a message inside a part', part(`${disposition('name="x"')}\r\nContent-Type: message/rfc822`, 'x') + model + end],
    [
      'too many headers',
      part([disposition('name="x"'), ...Array.from({ length: 16 }, (_, index) => `X-${index}: y`)].join('\r\n'), 'x') + model + end,
    ],
    ['long headers', part(`${disposition('name="x"')}\r\nX: ${'y'.repeat(4096)}`, 'x') + model + end],
    ['too many parts', field('x', 'y').repeat(256) + model + end],
    ['the declaration of another character set', field('_charset_', 'utf-16') + model + end],
  ])('refuses %s', (_what, text) => expect(scan(text)).toMatchObject({ ok: false, refusal: { code: 'invalid_request' } }));

  it.each<readonly [string, string, unknown]>([
    ['a second model', model + field('model', 'o3'), 'model'],
    ['a model with a file name', part(disposition('name="model"; filename="m"'), 'o3'), 'model'],
    ['a model with an empty file name', part(disposition('name="model"; filename=""'), 'o3'), 'model'],
    ['a model as a file beside one as a text', model + part(disposition('name="model"; filename="m"'), 'o3'), 'model'],
    ['a model as JSON', part(`${disposition('name="model"')}\r\nContent-Type: application/json`, '"o3"'), 'model'],
    [
      'a model in another character set',
      part(`${disposition('name="model"')}\r\nContent-Type: text/plain; charset=utf-16`, 'o\x003\x00'),
      'model',
    ],
    ['a model that is no UTF-8', field('model', 'o\xff'), 'model'],
    ['a long model', field('model', 'x'.repeat(4097)), 'model'],
    ['a second n', model + field('n', '1') + field('n', '9'), 'n'],
    ...[
      'Model',
      'MODEL',
      'model[]',
      'model[0]',
      'model[x]',
      'model.x',
      '-model',
      'model_',
      '[model]',
      'x[model]',
      'models[]',
      'svg.model',
      'svg[Model]',
      'svg[model][]',
    ].map((name) => [`a part ${name}`, model + field(name, 'o3'), expect.stringMatching(/model/)] as const),
    ...['N', 'n[]', 'Stream', 'stream[]', 'Response_Format'].map(
      (name) => [`a part ${name}`, model + field(name, '1'), name.toLowerCase().replace('[]', '')] as const,
    ),
  ])('refuses %s and names the param', (_what, text, param) =>
    expect(scan(text + end)).toMatchObject({ ok: false, refusal: { code: 'invalid_request', param } }),
  );

  it('does not take long for a body that is made to be slow', () => {
    const long = '-'.repeat(70);
    const text = `--${long}\r\n${disposition('name="file"; filename="a"')}\r\n\r\n${`\r\n${'-'.repeat(71)}`.repeat(200_000)}`;
    const startedMs = performance.now();
    scanMultipart(makeByteList([Buffer.from(text)]), long);
    // 14 MB; a scan that looked again at what it has seen would take minutes
    expect(performance.now() - startedMs).toBeLessThan(10_000);
  });
});

describe('spliceMultipart', () => {
  const splice = (text: string, splices: Parameters<typeof spliceMultipart>[1]): string =>
    Buffer.concat(spliceMultipart(read(text), splices)).toString('latin1');

  it('replaces the part and leaves every other byte as it is', () => {
    expect(splice(file + model + field('x', 'y') + end, [{ field: 'model', json: '"whisper-large"' }])).toBe(
      file + field('model', 'whisper-large') + field('x', 'y') + end,
    );
  });

  it('replaces its headers as well: one of them may tell a length', () => {
    const text = part(`Content-Length: 9\r\n${disposition('name=model')}`, 'whisper-1') + file + end;
    expect(splice(text, [{ field: 'model', json: '"w"' }])).toBe(field('model', 'w') + file + end);
  });

  it('adds what is absent in front', () => {
    expect(
      splice(file + end, [
        { field: 'model', json: '"w"' },
        { field: 'stream', json: 'true' },
      ]),
    ).toBe(field('model', 'w') + field('stream', 'true') + file + end);
  });

  it('copies nothing', () => {
    // not out of the pool, of which the text that takes the place is cut as well
    const bytes = Buffer.from(Uint8Array.from(Buffer.from(file + model + end, 'latin1')).buffer);
    const scanned = scanMultipart(makeByteList([bytes]), boundary);
    if (!scanned.ok) throw new Error(scanned.refusal.message);
    const pieces = spliceMultipart(scanned.body, [{ field: 'model', json: '"w"' }]);
    expect(pieces.filter(({ buffer }) => buffer === bytes.buffer).reduce((sum, { length }) => sum + length, 0)).toBe(
      bytes.length - (model.length - `--${boundary}\r\n\r\n`.length),
    );
    expect(spliceMultipart(scanned.body, [])).toEqual([bytes]);
  });

  it('a text that would end its part is known beforehand', () => {
    const body = { ...read(model + end), boundary: 'gpt' };
    expect(mayHold(body, 'my-gpt-4o')).toBe(true);
    expect(mayHold(body, 'my--gpt-4o')).toBe(false);
  });
});
