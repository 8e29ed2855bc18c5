import type { Meter } from '../dialect.ts';

/** Items of a whole answer, and what such an item did instead of a search. Quotes inside a text are escaped, so that these stand for members of the answer alone. */
const mark = /"type"\s*:\s*"(web_search_call|open_page|find_in_page|find)"/g;
const longestMark = 64;

/** The searches of a whole answer of the Responses API, which its usage does not tell. Source: OpenAI API reference, "Responses", web search call. */
export function withSearches(meter: Meter): Meter {
  let calls = 0;
  let others = 0;
  let tail = '';
  return {
    ...meter,
    push(chunk) {
      const text = tail + chunk.toString('latin1');
      let seen = 0;
      for (const match of text.matchAll(mark)) {
        if (match[1] === 'web_search_call') calls += 1;
        else others += 1;
        seen = match.index + match[0].length;
      }
      tail = text.slice(Math.max(seen, text.length - longestMark));
      return meter.push(chunk);
    },
    usage() {
      const known = meter.usage();
      const webSearches = Math.max(0, calls - others);
      return known === undefined || webSearches === 0 ? known : { ...known, usage: { ...known.usage, webSearches } };
    },
  };
}
