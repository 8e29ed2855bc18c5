/** Of so many requests it is known that they were counted: what is sent twice arrives twice within seconds. */
const mostRequests = 100_000;

/** Which requests were counted lately. The oldest are forgotten first. */
export class RecentRequests {
  readonly #most: number;
  readonly #names = new Set<string>();

  constructor(most = mostRequests) {
    this.#most = most;
  }

  /** @returns false: it was there */
  add(keyId: string, requestId: string): boolean {
    const name = `${keyId} ${requestId}`;
    if (this.#names.has(name)) return false;
    this.#names.add(name);
    if (this.#names.size > this.#most) for (const oldest of this.#names) return this.#names.delete(oldest);
    return true;
  }
}
