// What a bench says while it runs: lines on stdout that stay, one line on stderr that is overwritten.

export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Replaces the progress line; an empty text clears it. Where stderr is no terminal it says nothing. */
export function progress(text: string): void {
  if (!process.stderr.isTTY) return;
  process.stderr.write(`\r\u001b[K${text}`);
}
