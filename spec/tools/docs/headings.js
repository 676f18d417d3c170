/** The parts of a page with no code in its headings: TypeDoc makes no anchors of it, and GitHub does. */
export function headingsOf(parts) {
  let line = '\n';
  const plain = [];
  for (const { kind, text, ...more } of parts) {
    const isInHeading = kind === 'code' && /\n#+ [^\n]*$/.test(line);
    const part = isInHeading ? { kind: 'text', text: text.replaceAll('`', '') } : { kind, text, ...more };
    line = (line + text).slice(-200);
    const last = plain.at(-1);
    if (part.kind === 'text' && last?.kind === 'text') last.text += part.text;
    else plain.push(part);
  }
  return plain;
}
