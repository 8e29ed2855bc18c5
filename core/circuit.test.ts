import { describe, expect, it } from 'vitest';
import {
  beginProbe,
  type Circuit,
  closedCircuit,
  dropProbe,
  mayPass,
  recordFailure,
  recordSuccess,
  stateOfCircuit,
  waitOfCircuit,
} from './circuit.ts';

const rules = { failuresToOpen: 3, openMs: 1000, longestOpenMs: 3000 };
const fail = (circuit: Circuit, nowMs: number, isProbe = false): Circuit => recordFailure(circuit, { rules, isProbe, nowMs });
const opened = [1, 2, 3].reduce((circuit) => fail(circuit, 100), closedCircuit);

describe('a circuit', () => {
  it('opens by failures in a row, and by no other', () => {
    expect(stateOfCircuit(fail(fail(closedCircuit, 0), 0), 0)).toBe('closed');
    expect(stateOfCircuit(fail(fail(recordSuccess(fail(closedCircuit, 0), false), 0), 0), 0)).toBe('closed');
    expect(stateOfCircuit(opened, 100)).toBe('open');
    expect([stateOfCircuit(opened, 1099), waitOfCircuit(opened, 600), mayPass(opened, 600)]).toEqual(['open', 500, false]);
  });

  it('lets one probe through when its time is over, and no second one beside it', () => {
    expect(mayPass(opened, 1100)).toBe(true);
    const probing = beginProbe(opened, 9000);
    expect([stateOfCircuit(probing, 1100), mayPass(probing, 1100), mayPass(probing, 8999)]).toEqual(['probing', false, false]);
    // who never says anything does not keep it shut for ever
    expect(mayPass(probing, 9000)).toBe(true);
    expect(mayPass(dropProbe(probing), 1100)).toBe(true);
  });

  it('closes by a probe that went well, and not by what began before', () => {
    expect(recordSuccess(opened, false)).toBe(opened);
    expect(recordSuccess(opened, true)).toEqual(closedCircuit);
  });

  it('stays open for longer with every probe that fails, up to a bound, and only by a probe', () => {
    expect(fail(opened, 500)).toBe(opened);
    const second = fail(opened, 1100, true);
    const third = fail(second, 3100, true);
    expect([second.openUntilMs, third.openUntilMs, fail(third, 6100, true).openUntilMs]).toEqual([3100, 6100, 9100]);
    // well again means from the beginning
    expect(fail(fail(fail(recordSuccess(third, true), 0), 0), 0).openUntilMs).toBe(1000);
  });
});
