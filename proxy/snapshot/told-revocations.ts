import type { Revocation } from '../../core/revocation.ts';

type RevocationListener = (revocation: Revocation) => void;

/** What stands beside the shards, told to whoever listens, also to who comes later. */
export class ToldRevocations {
  #known: readonly Revocation[] = [];
  #listener: RevocationListener = () => undefined;

  listen(listener: RevocationListener): void {
    this.#listener = listener;
    this.tell(this.#known);
  }

  tell(revocations: readonly Revocation[]): void {
    this.#known = revocations;
    for (const revocation of revocations) this.#listener(revocation);
  }
}
