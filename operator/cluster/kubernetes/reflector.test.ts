import { setImmediate as tick } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Answer } from '../../../test/support/scripted-reflector.ts';
import { answers, bookmark, expired, list, object, reflect, silent, tells, versionOf } from '../../../test/support/scripted-reflector.ts';

describe('reflector', () => {
  it('comes back from resets, 500, nonsense and a forbidden list, waiting longer each time', async () => {
    const test = await reflect(
      [
        ({ reset }) => reset(),
        ({ reset }) => reset(),
        ({ json }) => json(500, { kind: 'Status', reason: 'InternalError', message: 'etcd is away' }),
        ({ response }) => void response.writeHead(200).end('<html>'),
        ({ json }) => json(403, { kind: 'Status', reason: 'Forbidden', message: 'no' }),
        ({ json }) => json(200, list(7)),
      ],
      [silent],
    );
    // The first two resets are one failure: a GET on a dead connection is sent once more.
    for (const nth of [1, 2, 3, 4]) await test.recover(nth);
    await test.until(() => test.watched().length === 1);
    expect(test.told).toEqual(['Synced']);
    expect(test.waits()).toEqual([800, 1_200, 2_400, 4_800]);
    expect(versionOf(test.watched()[0])).toBe('7');
  });

  it('never waits longer than 30 s', async () => {
    const test = await reflect([({ json }) => json(500, {})], [silent]);
    for (let nth = 1; nth <= 9; nth += 1) await test.recover(nth);
    expect(Math.max(...test.waits())).toBeLessThanOrEqual(30_000);
    expect(test.waits()[8]).toBe(22_500);
  });

  it.each([
    { where: 'in the stream', watch: tells({ type: 'ERROR', object: expired }) },
    { where: 'as an answer', watch: answers(410, expired) },
    { where: 'as a version of the future', watch: answers(504, { details: { causes: [{ reason: 'ResourceVersionTooLarge' }] } }) },
  ])('lists anew at once when the version has expired ($where), and tells only what differs', async ({ watch }) => {
    const test = await reflect(
      [
        ({ json }) => json(200, list(10, object('same', 1), object('edited', 2), object('gone', 3))),
        ({ json }) => json(200, list(20, object('same', 1), object('edited', 12), object('new', 13))),
      ],
      [watch, silent],
    );
    await test.until(() => test.watched().length === 2);
    expect(test.told).toEqual(['+same@1', '+edited@2', '+gone@3', 'Synced', '+edited@12', '+new@13', '-gone missing']);
    expect(test.waits()).toEqual([]);
    expect(test.watched().map(versionOf)).toEqual(['10', '20']);
  });

  it('takes smaller versions from a list (a restored etcd)', async () => {
    const test = await reflect(
      [({ json }) => json(200, list(100, object('a', 90))), ({ json }) => json(200, list(50, object('a', 40)))],
      [tells({ type: 'ERROR', object: expired }), tells({ type: 'MODIFIED', object: object('a', 51) })],
    );
    await test.until(() => test.told.length === 4);
    expect(test.told).toEqual(['+a@90', 'Synced', '+a@40', '+a@51']);
  });

  it('pages, and begins again when the continue token has expired', async () => {
    const page = (next: string | undefined, ...items: object[]) => ({ metadata: { resourceVersion: '9', continue: next }, items });
    const test = await reflect(
      [
        ({ json }) => json(200, page('token', object('a', 1))),
        ({ json }) => json(410, expired),
        ({ json }) => json(200, page('token-2', object('a', 1), object('b', 2))),
        ({ json }) => json(200, page(undefined, object('c', 3))),
      ],
      [silent],
    );
    await test.until(() => test.watched().length === 1);
    expect(test.told).toEqual(['+a@1', '+b@2', '+c@3', 'Synced']);
    const continues = test.server.requests.slice(0, 4).map((line) => /continue=([^&]*)/.exec(line)?.[1]);
    expect(continues).toEqual([undefined, 'token', undefined, 'token-2']);
    expect(test.server.requests.slice(0, 4).every((line) => line.includes('limit=500'))).toBe(true);
  });

  it('obeys Retry-After of a throttled watch', async () => {
    const test = await reflect([({ json }) => json(200, list(1))], [({ json }) => json(429, {}, { 'retry-after': '7' }), silent]);
    await test.recover(1);
    await test.until(() => test.watched().length === 2);
    expect(test.waits()).toEqual([7_000]);
  });

  it('gives up a watch that is silent for 120 s and goes on from the last bookmark', async () => {
    const test = await reflect([({ json }) => json(200, list(1))], [tells(bookmark(44)), silent]);
    await test.untilBookmarks(1);
    test.clock.advance(119_000);
    for (let turn = 0; turn < 20; turn += 1) await tick();
    expect(test.waits()).toEqual([]);
    test.clock.advance(1_500);
    await test.recover(1);
    await test.until(() => test.watched().length === 2);
    expect(test.watched().map(versionOf)).toEqual(['1', '44']);
  });

  it('comes back at once after a watch that told something and ended', async () => {
    const ends: Answer = (exchange) => {
      tells({ type: 'ADDED', object: object('a', 5) }, bookmark(6))(exchange);
      exchange.response.end();
    };
    const test = await reflect([({ json }) => json(200, list(1))], [ends, silent]);
    await test.until(() => test.watched().length === 2);
    expect(test.waits()).toEqual([]);
    expect(test.watched().map(versionOf)).toEqual(['1', '6']);
  });

  it('does not come back in a tight loop to a server that ends watches at once', async () => {
    const test = await reflect([({ json }) => json(200, list(1))], [({ response }) => void response.writeHead(200).end()]);
    await test.recover(1);
    await test.recover(2);
    await test.until(() => test.waits().length === 3);
    expect(test.waits()).toEqual([800, 1_200, 2_400]);
  });

  it('lists anew when the same watch fails again and again', async () => {
    const nonsense: Answer = ({ response }) => void response.writeHead(200).write('{"type":"ADDED","object":{"secret-value"\n');
    const test = await reflect(
      [({ json }) => json(200, list(1)), ({ json }) => json(200, list(2, object('a', 2)))],
      [nonsense, nonsense, nonsense, silent],
    );
    for (const nth of [1, 2, 3]) await test.recover(nth);
    await test.until(() => test.told.length === 2);
    expect(test.told).toEqual(['Synced', '+a@2']);
    expect(JSON.stringify(test.logged)).not.toContain('secret-value');
  });

  it('tells repeated and late events once', async () => {
    const test = await reflect(
      [({ json }) => json(200, list(10, object('a', 9)))],
      [
        tells(
          { type: 'ADDED', object: object('a', 9) },
          { type: 'MODIFIED', object: object('a', 12) },
          { type: 'MODIFIED', object: object('a', 12) },
          { type: 'MODIFIED', object: object('a', 11) },
          { type: 'ADDED', object: object('b', 8) },
          { type: 'DELETED', object: object('a', 13) },
          { type: 'MODIFIED', object: object('a', 12) },
          { type: 'DELETED', object: object('a', 13) },
          { type: 'ADDED', object: object('a', 14) },
          { type: 'DELETED', object: object('a', 13) },
          { type: 'ADDED', object: object('end', 100) },
        ),
      ],
    );
    await test.until(() => test.told.at(-1) === '+end@100');
    expect(test.told).toEqual(['+a@9', 'Synced', '+a@12', '+b@8', '-a seen', '+a@14', '+end@100']);
  });

  it('reads lines and characters that the network has cut anywhere', async () => {
    const text = `${JSON.stringify({ type: 'ADDED', object: object('a', 2, { note: 'größer 🔑' }) })}\n${JSON.stringify(bookmark(3))}\n`;
    const notes: unknown[] = [];
    const bytes = Buffer.from(text);
    const dribble: Answer = ({ response }) => {
      response.writeHead(200).flushHeaders();
      void (async () => {
        for (const byte of bytes) {
          response.write(Buffer.of(byte));
          await tick();
        }
      })();
    };
    const test = await reflect([({ json }) => json(200, list(1))], [dribble], {
      onEvent: (event) => {
        if (event.type === 'Applied') notes.push(Reflect.get(event.object, 'note'));
      },
    });
    await test.until(() => notes.length === 1);
    expect(notes).toEqual(['größer 🔑']);
  });

  it('lists anew every 30 minutes and tells what a watch has missed', async () => {
    let say: ((version: number) => void) | undefined;
    const test = await reflect(
      [
        ({ json }) => json(200, list(1, object('kept', 1), object('lost', 1))),
        ({ json }) => json(200, list(500, object('kept', 1), object('missed', 400))),
      ],
      [
        (exchange) => {
          silent(exchange);
          say = (version) => exchange.line(bookmark(version));
        },
        silent,
      ],
    );
    await test.until(() => say !== undefined);
    for (let minute = 1; minute <= 31 && test.watched().length === 1; minute += 1) {
      say?.(minute + 1);
      await test.untilBookmarks(minute);
      test.clock.advance(60_000);
      // The stream ends with the next bookmark at the latest, not within this turn.
      if (minute >= 30) await test.until(() => test.watched().length === 2);
    }
    await test.until(() => test.watched().length === 2);
    expect(test.told).toEqual(['+kept@1', '+lost@1', 'Synced', '+missed@400', '-lost missing']);
    expect(test.waits()).toEqual([]);
  });

  it('logs a handler that throws without its words, and goes on', async () => {
    const test = await reflect([({ json }) => json(200, list(1, object('a', 1), object('b', 1)))], [silent], {
      onEvent: (event) => {
        if (event.type === 'Applied' && event.object.metadata.name === 'a') JSON.parse('"c2VjcmV0LXZhbHVl" is no JSON');
      },
    });
    await test.until(() => test.told.length === 3);
    expect(test.told).toEqual(['+a@1', '+b@1', 'Synced']);
    expect(JSON.stringify(test.logged)).toContain('SyntaxError');
    expect(JSON.stringify(test.logged)).not.toContain('c2VjcmV0LXZhbHVl');
  });

  it('stops at once, whatever it waits for, and tells nothing more', async () => {
    const never: Answer = () => undefined;
    let line: ((value: object) => void) | undefined;
    const speaking: Answer = (exchange) => {
      silent(exchange);
      line = (value) => exchange.line(value);
    };
    const watching = await reflect([({ json }) => json(200, list(1))], [speaking]);
    await watching.until(() => line !== undefined);
    await watching.reflector.stop();
    line?.({ type: 'ADDED', object: object('late', 2) });
    for (let turn = 0; turn < 20; turn += 1) await tick();
    expect(watching.told).toEqual(['Synced']);
    expect(watching.logged).toEqual([]);

    const waiting = await reflect([({ json }) => json(500, {})], [never]);
    await waiting.until(() => waiting.waits().length === 1);
    await waiting.reflector.stop();

    const hanging = await reflect([({ json }) => json(200, list(1))], [never]);
    await hanging.until(() => hanging.watched().length === 1);
    await hanging.reflector.stop();
    expect(hanging.told).toEqual(['Synced']);

    const listing = await reflect([never], [never]);
    await listing.until(() => listing.server.requests.length === 1);
    await listing.reflector.stop();
    expect(listing.logged).toEqual([]);

    const running: { reflector?: { stop(): Promise<void> } } = {};
    const inHandler = await reflect([({ json }) => json(200, list(1, object('a', 1), object('b', 1)))], [never], {
      onEvent: () => void running.reflector?.stop(),
    });
    running.reflector = inHandler.reflector;
    await inHandler.until(() => inHandler.told.length > 0);
    await inHandler.reflector.stop();
    expect(inHandler.told).toEqual(['+a@1']);
  });
});
