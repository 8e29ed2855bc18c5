/**
 * Compiles a list of globs: `*` is any run of characters, `?` any one; everything else stands for itself, upper and lower case differ.
 * Patterns come from tenants, so no regular expression is built of them: the time is bounded by pattern length × text length.
 */
export function compileGlobs(patterns: readonly string[]): (text: string) => boolean {
  const names = new Set(patterns.filter((pattern) => !isGlob(pattern)));
  const globs = patterns.filter(isGlob);
  if (globs.includes('*')) return () => true;
  return (text) => names.has(text) || globs.some((glob) => matchesGlob(glob, text));
}

/** True when the text has a wildcard. */
export function isGlob(text: string): boolean {
  return text.includes('*') || text.includes('?');
}

/** Greedy: after a mismatch only the latest `*` takes one character more; an earlier one never has to. */
function matchesGlob(glob: string, text: string): boolean {
  let inGlob = 0;
  let inText = 0;
  let star = -1;
  let afterStar = 0;
  while (inText < text.length) {
    if (glob[inGlob] === '*') {
      star = inGlob;
      afterStar = inText;
      inGlob += 1;
    } else if (inGlob < glob.length && (glob[inGlob] === '?' || glob[inGlob] === text[inText])) {
      inGlob += 1;
      inText += 1;
    } else if (star >= 0) {
      afterStar += 1;
      inText = afterStar;
      inGlob = star + 1;
    } else {
      return false;
    }
  }
  while (glob[inGlob] === '*') inGlob += 1;
  return inGlob === glob.length;
}
