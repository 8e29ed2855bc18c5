/** Puts lines between the marks `<!-- table: NAME -->` and `<!-- end -->` of a page. */
export function withTable(text: string, name: string, lines: readonly string[]): string {
  const begin = `<!-- table: ${name} -->\n`;
  const from = text.indexOf(begin);
  const to = text.indexOf('<!-- end -->', from);
  if (from === -1 || to === -1) throw new Error(`the marks of the table "${name}" are missing`);
  return `${text.slice(0, from)}${begin}${lines.join('\n')}\n${text.slice(to)}`;
}
