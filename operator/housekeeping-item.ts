export const housekeepingItem = 'Housekeeping/all';
/** What was barred waits so long for company: it is safe where it is, and each write of a shard carries all that it holds. */
export const filingDelayMs = 300_000;
