/**
 * Whether something that failed is tried again: closed (used), open (left alone for a while), half-open (one probe may find out). Plain values; time comes in as an argument.
 */
export interface Circuit {
  /** in a row, while it is closed */
  readonly failures: number;
  /** how often it has opened since it was last well; the time that it stays open grows with it */
  readonly openings: number;
  /** undefined: closed */
  readonly openUntilMs: number | undefined;
  /** a probe is under way and will have said by then; undefined: none is */
  readonly probeUntilMs: number | undefined;
}

export interface CircuitRules {
  readonly failuresToOpen: number;
  readonly openMs: number;
  /** each failed probe doubles the time, up to this; equal to `openMs`: it does not grow */
  readonly longestOpenMs: number;
}

export type CircuitState = 'closed' | 'open' | 'halfOpen' | 'probing';

export const closedCircuit: Circuit = { failures: 0, openings: 0, openUntilMs: undefined, probeUntilMs: undefined };

export function stateOfCircuit({ openUntilMs, probeUntilMs }: Circuit, nowMs: number): CircuitState {
  if (openUntilMs === undefined) return 'closed';
  if (nowMs < openUntilMs) return 'open';
  return probeUntilMs !== undefined && nowMs < probeUntilMs ? 'probing' : 'halfOpen';
}

/** Whether a request may pass; through a half-open one only the first, which has to say so by `beginProbe`. */
export function mayPass(circuit: Circuit, nowMs: number): boolean {
  const state = stateOfCircuit(circuit, nowMs);
  return state === 'closed' || state === 'halfOpen';
}

/** Milliseconds until it is worth asking again; of a probe under way nobody knows, so it is said to be soon. */
export function waitOfCircuit(circuit: Circuit, nowMs: number): number {
  const state = stateOfCircuit(circuit, nowMs);
  if (state === 'open') return (circuit.openUntilMs ?? nowMs) - nowMs;
  return state === 'probing' ? 1000 : 0;
}

/** One request goes through to find out, and will have said so by `untilMs` (milliseconds since 1970). */
export function beginProbe(circuit: Circuit, untilMs: number): Circuit {
  return { ...circuit, probeUntilMs: untilMs };
}

/** The probe has ended without finding anything out; the next request is one. */
export function dropProbe(circuit: Circuit): Circuit {
  return { ...circuit, probeUntilMs: undefined };
}

/** Something went well. What is open is closed by a probe alone: what began before says nothing of now. */
export function recordSuccess(circuit: Circuit, isProbe: boolean): Circuit {
  return circuit.openUntilMs === undefined || isProbe ? closedCircuit : circuit;
}

export interface CircuitFailure {
  readonly rules: CircuitRules;
  readonly isProbe: boolean;
  readonly nowMs: number;
}

/** Something failed. While it is open, only a probe makes it stay so for longer: a hundred requests that failed together are one reason and not a hundred. */
export function recordFailure(circuit: Circuit, { rules, isProbe, nowMs }: CircuitFailure): Circuit {
  if (circuit.openUntilMs !== undefined) return isProbe ? open(circuit, rules, nowMs) : circuit;
  const failures = circuit.failures + 1;
  return failures < rules.failuresToOpen ? { ...circuit, failures } : open({ ...circuit, failures }, rules, nowMs);
}

function open({ failures, openings }: Circuit, { openMs, longestOpenMs }: CircuitRules, nowMs: number): Circuit {
  const lastsMs = Math.min(longestOpenMs, openMs * 2 ** Math.min(openings, 30));
  return { failures, openings: openings + 1, openUntilMs: nowMs + lastsMs, probeUntilMs: undefined };
}
