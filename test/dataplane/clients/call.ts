import type { Family } from './clients.ts';
import type { Method } from './methods.ts';

/** What a runner is asked to do. */
export interface Call {
  readonly id: string;
  readonly client: {
    readonly family: Family;
    readonly url: string;
    readonly key: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly apiVersion?: string | undefined;
  };
  /** dotted, from the client */
  readonly method: string;
  readonly answer: Method['answer'];
  /** the name under which a helper gives its result */
  readonly final?: string | undefined;
  readonly positional?: readonly unknown[];
  readonly parameters?: Readonly<Record<string, unknown>>;
}

/** What came of it; a field that an SDK's exception does not have is absent. */
export type Outcome =
  | { readonly id: string; readonly answered: true; readonly value: unknown; readonly requestId?: string | undefined }
  | {
      readonly id: string;
      readonly answered: false;
      /** pieces of a stream before */
      readonly seen: number;
      /** name of the class */
      readonly exception: string;
      readonly status?: number | undefined;
      readonly code?: unknown;
      readonly type?: unknown;
      readonly requestId?: string | undefined;
      readonly message: string;
    };
