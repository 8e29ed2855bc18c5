import type { Reason } from './reasons.ts';

/** Why an object, or a part of it, is not taken. A value, never thrown. */
export interface Problem {
  readonly reason: Reason;
  /** one sentence for the object's owner; never secrets, never other tenants */
  readonly message: string;
  /** true: only an edit mends it. false: it goes on by itself as soon as what is missing appears */
  readonly stalled: boolean;
}

/** The first problem in the order of the list; the list is the specification. */
export function firstProblem<T>(checks: readonly ((subject: T) => Problem | undefined)[], subject: T): Problem | undefined {
  for (const check of checks) {
    const problem = check(subject);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** What Kubernetes shows under Events; never more of a key than its display prefix. */
export interface Notice {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

export function toNotice(reason: string, message: string): Notice {
  return { type: 'Normal', reason, message };
}

export function toWarning(reason: string, message: string): Notice {
  return { type: 'Warning', reason, message };
}
