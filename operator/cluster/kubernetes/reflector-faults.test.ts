import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as tick, setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { makeCertificate } from '../../../test/support/certificate.ts';
import { makeTemporaryDirectory } from '../../../test/support/child.ts';
import { freePort } from '../../../test/support/free-port.ts';
import type { Answer } from '../../../test/support/scripted-reflector.ts';
import { answers, bookmark, expired, list, object, reflect, silent, tells, versionOf } from '../../../test/support/scripted-reflector.ts';
import { startScriptedServer } from '../../../test/support/scripted-server.ts';

const lists = (version: number, ...items: object[]): Answer => answers(200, list(version, ...items));
const added = (name: string, version: number, changes: object = {}) => ({ type: 'ADDED', object: object(name, version, changes) });
const never: Answer = () => undefined;
const half = (value: object) => JSON.stringify(value).slice(0, 40);
const status = (code: number, changes: object = {}) => ({
  kind: 'Status',
  code,
  reason: 'InternalError',
  message: 'of no concern',
  ...changes,
});

/** Lets much of the fake time pass in small steps until it holds. */
async function passUntil(test: { clock: { advance(ms: number): void } }, holds: () => boolean, stepMs = 50): Promise<void> {
  for (let turn = 0; turn < 3_000 && !holds(); turn += 1) {
    test.clock.advance(stepMs);
    await sleep(1);
  }
  expect(holds()).toBe(true);
}

describe('a connection that breaks', () => {
  it.each([
    { how: 'is reset', end: ({ reset }: Parameters<Answer>[0]) => reset() },
    { how: 'ends in order', end: ({ response }: Parameters<Answer>[0]) => void response.end() },
  ])('in the middle of an event ($how): the event is told once, by the next watch', async ({ end }) => {
    const test = await reflect(
      [lists(1)],
      [
        (exchange) => {
          tells(added('a', 5))(exchange);
          exchange.response.write(half(added('b', 6)), () => end(exchange));
        },
        tells(added('b', 6), added('c', 7)),
      ],
    );
    await test.until(() => test.watched().length === 2 || test.waits().length === 1);
    if (test.watched().length === 1) await test.recover(1);
    await test.until(() => test.told.length === 4);
    expect(test.told).toEqual(['Synced', '+a@5', '+b@6', '+c@7']);
    expect(test.watched().map(versionOf)).toEqual(['1', '5']);
  });

  it('in the middle of a page: nothing is taken for gone, and the list begins again', async () => {
    const test = await reflect(
      [
        lists(10, object('a', 1), object('b', 2)),
        answers(200, { metadata: { resourceVersion: '20', continue: 'more' }, items: [object('a', 1)] }),
        (exchange) => {
          exchange.response.writeHead(200).flushHeaders();
          exchange.response.write(half(list(20, object('b', 2))), () => exchange.reset());
        },
        lists(20, object('a', 1), object('b', 2)),
      ],
      [tells({ type: 'ERROR', object: expired }), silent],
    );
    await test.recover(1);
    await test.until(() => test.watched().length === 2);
    expect(test.told).toEqual(['+a@1', '+b@2', 'Synced']);
  });

  it('is never made: the port refuses at the start, and the server comes later', async () => {
    const port = await freePort();
    const later = await freePort();
    const test = await reflect([lists(1, object('a', 1))], [silent], {
      server: { port },
      kubeconfig: (server) => server.kubeconfig(undefined, { server: `http://127.0.0.1:${later}`, 'insecure-skip-tls-verify': true }),
    });
    for (const nth of [1, 2, 3]) await test.recover(nth);
    expect(test.told).toEqual([]);
    const late = await startScriptedServer((exchange) => (exchange.query.has('watch') ? silent : lists(1, object('a', 1)))(exchange), {
      port: later,
    });
    await passUntil(test, () => test.told.length === 2);
    expect(test.told).toEqual(['+a@1', 'Synced']);
    await test.reflector.stop();
    await late.stop();
  });
});

describe('a server that is there and does not answer', () => {
  it('a list is given up after 15 s, a watch after 30 s', async () => {
    const test = await reflect([never, lists(1)], [never, silent]);
    await test.until(() => test.server.requests.length === 1);
    await tick();
    test.clock.advance(14_000);
    await sleep(5);
    expect(test.waits()).toEqual([]);
    test.clock.advance(1_500);
    await test.recover(1);
    await test.until(() => test.watched().length === 1);
    test.clock.advance(31_000);
    await test.recover(2);
    await test.until(() => test.watched().length === 2);
    expect(test.told).toEqual(['Synced']);
  });

  it('says nothing twice from the same version: its history may be another one, so everything is listed', async () => {
    const test = await reflect([lists(900, object('a', 800)), lists(50, object('a', 40))], [silent, silent, silent]);
    for (const nth of [1, 2]) {
      await test.until(() => test.watched().length === nth);
      await tick();
      test.clock.advance(120_500);
      await test.recover(nth);
    }
    await test.until(() => test.watched().length === 3);
    expect(test.watched().map(versionOf)).toEqual(['900', '900', '50']);
    expect(test.told).toEqual(['+a@800', 'Synced', '+a@40']);
  });

  it.each([
    { how: 'was restored', version: 50, watched: ['900', '50'], told: ['+a@800', 'Synced', '+a@40'] },
    { how: 'is as it was', version: 900, watched: ['900', '900'], told: ['+a@800', 'Synced'] },
  ])('is asked for its version when a watch has broken off: a store that $how', async ({ version, watched, told }) => {
    const breaks: Answer = ({ response, reset }) => void response.writeHead(200).write('\n', () => reset());
    const test = await reflect([lists(900, object('a', 800)), lists(50, object('a', 40))], [breaks, silent], { version: lists(version) });
    await test.recover(1);
    await test.until(() => test.watched().length === 2);
    expect(test.told).toEqual(told);
    expect(test.watched().map(versionOf)).toEqual(watched);
  });

  it('a bookmark from before the beginning of the watch shows a restored store: everything is listed at once', async () => {
    const test = await reflect([lists(900, object('a', 800)), lists(50, object('a', 40))], [tells(bookmark(45)), silent]);
    await test.until(() => test.watched().length === 2);
    expect(test.told).toEqual(['+a@800', 'Synced', '+a@40']);
    expect(test.waits()).toEqual([]);
  });
});

describe('answers that are not what they should be', () => {
  it.each([
    { what: 'without a resource version', page: { metadata: {}, items: [] } },
    { what: 'with an item that is no object', page: { metadata: { resourceVersion: '20' }, items: [object('a', 1), { metadata: {} }] } },
    { what: 'without items', page: { metadata: { resourceVersion: '20' } } },
  ])('a list $what is not believed: nothing is gone', async ({ page }) => {
    const test = await reflect(
      [lists(10, object('a', 1), object('b', 2)), answers(200, page), lists(30, object('a', 1), object('b', 2))],
      [tells({ type: 'ERROR', object: expired }), silent],
    );
    await test.recover(1);
    await test.until(() => test.watched().length === 2);
    expect(test.told).toEqual(['+a@1', '+b@2', 'Synced']);
    expect(versionOf(test.watched()[1])).toBe('30');
  });

  it('a first list that is empty is a list; one that is suddenly empty tells everything as missing, never as seen to be deleted', async () => {
    const first = await reflect([lists(1)], [tells(added('a', 2))]);
    await first.until(() => first.told.length === 2);
    expect(first.told).toEqual(['Synced', '+a@2']);
    const later = await reflect(
      [lists(10, object('a', 1), object('b', 2)), lists(11)],
      [tells({ type: 'ERROR', object: expired }), silent],
    );
    await later.until(() => later.watched().length === 2);
    expect(later.told).toEqual(['+a@1', '+b@2', 'Synced', '-a missing', '-b missing']);
  });

  it.each([
    { what: 'of an unknown type', line: { type: 'MUTATED', object: object('a', 5) } },
    { what: 'without a resource version', line: { type: 'ADDED', object: { metadata: { name: 'a' } } } },
    { what: 'that is no object', line: [] },
  ])('an event $what is not passed over: the watch is tried again and then everything is listed', async ({ line }) => {
    const test = await reflect([lists(1), lists(6, object('a', 5))], [tells(line), tells(line), tells(line), silent]);
    for (const nth of [1, 2, 3]) await test.recover(nth);
    await test.until(() => test.told.length === 2);
    expect(test.told).toEqual(['Synced', '+a@5']);
  });

  it('an event of half a megabyte, in many pieces, is one event', async () => {
    const text = 'ü'.repeat(250_000);
    const notes: unknown[] = [];
    const test = await reflect([lists(1)], [tells(added('big', 2, { note: text }), added('next', 3))], {
      onEvent: (event) => void (event.type === 'Applied' && notes.push(Reflect.get(event.object, 'note'))),
    });
    await test.until(() => test.told.length === 3);
    expect(test.told).toEqual(['Synced', '+big@2', '+next@3']);
    expect(notes[0] === text).toBe(true);
  });
});

describe('a server that asks for time', () => {
  it.each([
    { what: '429 with seconds', code: 429, header: () => '70', wait: 70_000 },
    { what: '429 with a date', code: 429, header: (nowMs: number) => new Date(nowMs + 90_000).toUTCString(), wait: 90_000 },
    { what: '503 with seconds', code: 503, header: () => '65', wait: 65_000 },
    { what: 'a slip of a hundred years', code: 429, header: () => '3153600000', wait: 300_000 },
  ])('is given it: $what', async ({ code, header, wait }) => {
    const nowMs = 1_700_000_000_000;
    const test = await reflect([lists(1)], [({ json }) => json(code, status(code), { 'retry-after': header(nowMs) }), silent]);
    await test.recover(1);
    await test.until(() => test.watched().length === 2);
    expect(test.waits()).toEqual([wait]);
  });

  it('also within a watch, as an ERROR event with a Status; other errors are waited for as usual', async () => {
    const throttled = status(429, { reason: 'TooManyRequests', details: { retryAfterSeconds: 9 } });
    const test = await reflect(
      [lists(1)],
      [tells({ type: 'ERROR', object: throttled }), tells({ type: 'ERROR', object: status(500) }), silent],
    );
    for (const nth of [1, 2]) await test.recover(nth);
    await test.until(() => test.watched().length === 3);
    expect(test.waits()).toEqual([9_000, 1_200]);
    expect(JSON.stringify(test.logged)).not.toContain('of no concern');
  });
});

describe('a server that would have us come back again and again', () => {
  it('ends each watch after an event: the second time we take our time', async () => {
    let version = 1;
    const ends: Answer = (exchange) => {
      version += 1;
      tells(added('a', version))(exchange);
      exchange.response.end();
    };
    const test = await reflect([lists(1)], [ends]);
    for (const nth of [1, 2, 3]) await test.recover(nth);
    await test.until(() => test.waits().length === 4);
    expect(test.watched()).toHaveLength(5);
    expect(Math.min(...test.waits())).toBeGreaterThanOrEqual(800);
  });

  it('says that each version has expired, even after an event: only the first list follows at once', async () => {
    const test = await reflect([lists(1)], [tells(added('a', 2), { type: 'ERROR', object: expired })]);
    for (const nth of [1, 2, 3]) await test.recover(nth);
    await test.until(() => test.waits().length === 4);
    expect(test.watched()).toHaveLength(5);
  });

  it('lets every continue token expire', async () => {
    const page = answers(200, { metadata: { resourceVersion: '9', continue: 'token' }, items: [object('a', 1)] });
    const test = await reflect([page, answers(410, expired), page, answers(410, expired), lists(9, object('a', 1))], [silent]);
    await test.recover(1);
    await test.until(() => test.watched().length === 1);
    expect(test.told).toEqual(['+a@1', 'Synced']);
  });
});

describe('credentials and certificates that change', () => {
  it('a token that is refused in the middle is read anew from its file, by lists and by watches', async () => {
    const tokenPath = join(makeTemporaryDirectory('token'), 'token');
    writeFileSync(tokenPath, 'first');
    let accepted = 'first';
    const guarded =
      (answer: Answer): Answer =>
      (exchange) =>
        exchange.request.headers.authorization === `Bearer ${accepted}` ? answer(exchange) : exchange.json(401, status(401));
    const speaking: Answer = (exchange) => {
      tells(added('a', 2))(exchange);
      exchange.response.end();
    };
    const test = await reflect([guarded(lists(1))], [guarded(speaking), guarded(tells(added('b', 3)))], {
      onEvent: (event) => {
        if (event.type !== 'Applied') return;
        writeFileSync(tokenPath, 'second');
        accepted = 'second';
      },
      kubeconfig: (server) => server.kubeconfig({ tokenFile: tokenPath }),
    });
    await test.until(() => test.told.length === 3);
    expect(test.told).toEqual(['Synced', '+a@2', '+b@3']);
    expect(test.waits()).toEqual([]);
  });

  it('the certificate of the API server is changed: it is trusted as soon as its authority is in the file', async () => {
    const [before, after] = await Promise.all([makeCertificate('before'), makeCertificate('after')]);
    const authority = join(makeTemporaryDirectory('authority'), 'ca.crt');
    writeFileSync(authority, before.certificate);
    const test = await reflect([lists(1)], [silent, tells(added('a', 2))], {
      server: { certificate: before },
      kubeconfig: (server) => server.kubeconfig(undefined, { 'certificate-authority': authority }),
    });
    await test.until(() => test.watched().length === 1);
    test.server.changeCertificate(after);
    for (const nth of [1, 2]) await test.recover(nth);
    expect(test.told).toEqual(['Synced']);
    writeFileSync(authority, after.certificate);
    await passUntil(test, () => test.told.length > 1);
    expect(test.told).toEqual(['Synced', '+a@2']);
    await test.reflector.stop();
  });
});
