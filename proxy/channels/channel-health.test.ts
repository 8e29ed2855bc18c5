import { describe, expect, it } from 'vitest';
import { Secret } from '../../core/secret.ts';
import type { ChannelRecord } from '../../core/snapshot.ts';
import { makeChannelRecord } from '../../test/support/records.ts';
import { type AttemptHealth, type ChannelHealth, type HealthQuestion, makeChannelHealth } from './channel-health.ts';

const credential = (name: string, value = `sk-${name}`, weight = 1) => ({ name, weight, secret: new Secret(value) });
const [one, other] = [credential('one'), credential('other')];
const channel = makeChannelRecord('https://a.example', {
  credentials: [one, other],
  circuitBreaker: { consecutiveFailures: 3, openMs: 5000 },
});

const ask = (changes: Partial<HealthQuestion> = {}): HealthQuestion => ({ channel, tenant: 'first', model: 'chat gpt', ...changes });
const noAnswer: AttemptHealth = { kind: 'noAnswer', isNobodysFault: false };
const noConnection: AttemptHealth = { kind: 'noAnswer', isNobodysFault: true };
const answered = (verdict: (AttemptHealth & { kind: 'answered' })['verdict'], retryAfterMs?: number): AttemptHealth => ({
  kind: 'answered',
  verdict,
  retryAfterMs,
});

function makeScene() {
  const scene = { nowMs: 0, health: undefined as unknown as ChannelHealth };
  scene.health = makeChannelHealth({ now: () => scene.nowMs });
  return {
    ...scene,
    at: (ms: number) => void (scene.nowMs = ms),
    /** names of the credentials that may be used, or why none may */
    look(question: HealthQuestion = ask()): unknown {
      const available = scene.health.look(question);
      return 'block' in available ? available.block : available.credentials.map((each) => each?.name);
    },
    /** false: it was not let in */
    run(end: AttemptHealth, with_ = one, question: HealthQuestion = ask()): boolean {
      const entry = scene.health.enter(question, with_);
      entry?.end(end);
      return entry !== undefined;
    },
  };
}

describe('a credential', () => {
  it.each(['credentialDead', 'accountBroke'] as const)(
    'that is %s leaves the pool, is tried by one request later, and comes back by itself',
    (verdict) => {
      const { look, run, at, health } = makeScene();
      run(answered(verdict));
      expect(look()).toEqual(['other']);
      expect(run(answered('well'))).toBe(false);
      run(answered(verdict), other);
      expect(look()).toEqual({ reason: verdict, waitMs: 10_000 });
      at(10_000);
      const probe = health.enter(ask(), one);
      // exactly one
      expect([probe !== undefined, health.enter(ask(), one)]).toEqual([true, undefined]);
      probe?.end(answered(verdict));
      run(answered('well'), other);
      expect(look()).toEqual(['other']);
      at(29_999);
      expect(look()).toEqual(['other']);
      at(30_000);
      run(answered('well'));
      expect(look()).toEqual(['one', 'other']);
    },
  );

  it('is free to be tried again when its probe has found nothing out', () => {
    const { look, run, at } = makeScene();
    run(answered('credentialDead'));
    at(10_000);
    expect(run({ kind: 'notAsked' })).toBe(true);
    // a request that is itself at fault is no proof
    expect(run(answered(undefined))).toBe(true);
    expect(look()).toEqual(['one', 'other']);
    expect(run(answered('credentialDead'))).toBe(true);
    expect(look()).toEqual(['other']);
  });

  it('that is throttled cools down for as long as the provider says, and no other does', () => {
    const { look, run, at } = makeScene();
    for (let count = 0; count < 5; count += 1) run(answered('throttled', 7000));
    expect([look(), look(ask({ tenant: 'second' }))]).toEqual([['other'], ['other']]);
    run(answered('throttled', 3000), other);
    expect(look()).toEqual({ reason: 'throttled', waitMs: 3000 });
    at(3000);
    expect(look()).toEqual(['other']);
    at(7000);
    expect(look()).toEqual(['one', 'other']);
  });

  it('whose quota of a model does not hold a request is closed to that tenant and model, and tried by one request after seconds', () => {
    const { look, run, at, health } = makeScene();
    const [second, otherModel] = [ask({ tenant: 'second' }), ask({ model: 'chat other' })];
    run(answered('quotaSpent', 86_400_000));
    // perhaps it was too large, which is nobody else's fault
    expect([look(), look(second), look(otherModel)]).toEqual([['other'], ['one', 'other'], ['one', 'other']]);
    run(answered('quotaSpent', 86_400_000), other);
    expect(look()).toEqual({ reason: 'quotaSpent', waitMs: 10_000 });
    at(10_000);
    const probe = health.enter(ask(), one);
    expect([probe !== undefined, health.enter(ask(), one), health.enter(second, one) !== undefined]).toEqual([true, undefined, true]);
    probe?.end(answered('quotaSpent', 86_400_000));
    expect(look()).toEqual(['other']);
    at(29_999);
    expect(look()).toEqual(['other']);
    at(30_000);
    expect(run(answered('well'))).toBe(true);
    expect(run(answered('well'))).toBe(true);
    // and never for longer than five minutes
    let waitMs = 0;
    for (let nowMs = 30_000; nowMs < 10_000_000; nowMs += waitMs) {
      at(nowMs);
      run(answered('quotaSpent', 86_400_000));
      run(answered('quotaSpent', 86_400_000), other);
      const block = look() as { waitMs: number };
      ({ waitMs } = block);
      expect(waitMs).toBeLessThanOrEqual(300_000);
    }
    expect(waitMs).toBeGreaterThan(100_000);
  });

  it('that may not use a model goes on with every other', () => {
    const { look, run, at } = makeScene();
    run(answered('modelForbidden'));
    expect([look(), look(ask({ model: 'chat other' }))]).toEqual([['other'], ['one', 'other']]);
    at(60_000);
    expect(look()).toEqual(['one', 'other']);
  });

  it('with another value starts afresh, and so does a Channel that was edited', () => {
    const { look, run } = makeScene();
    run(answered('credentialDead'));
    const renewed: ChannelRecord = { ...channel, credentials: [credential('one', 'sk-new'), other] };
    expect([look(ask({ channel: { ...channel, credentials: [credential('one'), other] } })), look(ask({ channel: renewed }))]).toEqual([
      ['other'],
      ['one', 'other'],
    ]);
    for (let count = 0; count < 3; count += 1) run(noConnection, other);
    expect(look()).toMatchObject({ reason: 'circuitOpen' });
    expect(look(ask({ channel: { ...channel, generation: 2 } }))).toEqual(['one', 'other']);
  });

  it('is not remembered with every name of a model that a client can think of', () => {
    const { look, run, health } = makeScene();
    for (let count = 0; count < 1000; count += 1) run(answered('modelUnknown'), one, ask({ model: `chat ${count}` }));
    expect(health.describe([channel])[0]?.credentials[0]).toMatchObject({ state: 'well', coolingModels: 256 });
    expect(look(ask({ model: 'chat 999' }))).toEqual(['other']);
  });

  it('of weight 0 is used for what its account keeps, and for nothing else', () => {
    const { look } = makeScene();
    const parked = { ...channel, credentials: [one, credential('parked', 'sk-parked', 0)] };
    expect([look(ask({ channel: parked })), look(ask({ channel: parked, pinned: 'parked' }))]).toEqual([['one'], ['parked']]);
  });
});

describe('the breaker of a channel', () => {
  it('opens by failures in a row, lets one request through, and closes when it is answered', () => {
    const { look, run, at, health } = makeScene();
    for (let count = 0; count < 3; count += 1) run(noConnection);
    expect(look()).toEqual({ reason: 'circuitOpen', waitMs: 5000 });
    at(5000);
    const probe = health.enter(ask(), one);
    expect([health.enter(ask(), other), look()]).toEqual([undefined, { reason: 'circuitOpen', waitMs: 1000 }]);
    // the head of a stream is enough
    probe?.heard();
    expect(look()).toEqual(['one', 'other']);
    probe?.end(answered('well'));
    expect(health.describe([channel])[0]).toMatchObject({ breaker: 'closed', openForOneTenant: false });
  });

  it('is not touched by what is about a credential, a model or the request', () => {
    const { look, run } = makeScene();
    run(noConnection);
    run(noConnection);
    for (const verdict of ['throttled', 'modelForbidden', 'modelUnknown', undefined] as const) {
      for (let count = 0; count < 5; count += 1) run(answered(verdict, 0), other, ask({ model: 'gated' }));
    }
    expect(look(ask({ model: 'gated' }))).not.toMatchObject({ reason: 'circuitOpen' });
  });

  it('is open for the tenant whose requests fail, and shown as such', () => {
    const { look, run, health } = makeScene();
    for (let count = 0; count < 9; count += 1) run(noAnswer);
    expect([look(), look(ask({ tenant: 'second' }))]).toEqual([{ reason: 'circuitOpen', waitMs: 5000 }, ['one', 'other']]);
    expect(health.describe([channel])[0]).toMatchObject({ breaker: 'closed', openForOneTenant: true });
    run(noAnswer, one, ask({ tenant: 'second' }));
    expect(health.describe([channel])[0]).toMatchObject({ breaker: 'open', openForOneTenant: false });
  });
});

it('shows names and states, and no value of a credential', () => {
  const { run, health } = makeScene();
  run(answered('accountBroke'));
  const shown = JSON.stringify(health.describe([channel]));
  expect(JSON.parse(shown)).toEqual([
    {
      id: 'default/openai',
      breaker: 'closed',
      openForOneTenant: false,
      waitMs: 0,
      credentials: [
        { name: 'one', state: 'accountBroke', waitMs: 10_000, coolingModels: 0 },
        { name: 'other', state: 'well', waitMs: 0, coolingModels: 0 },
      ],
    },
  ]);
  expect(shown).not.toContain('sk-');
});
