/** A piece of text in a source file that a person reads: a comment, or a string of several words. */
export interface SourceText {
  line: number;
  text: string;
}

const TYPESCRIPT = /\/\/[^\n]*|\/\*[\s\S]*?\*\/|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g;
const SQL = /--[^\n]*|'(?:''|[^'])*'/g;
/** Paths, SQL statements and the like are strings too; a sentence has words with blanks between. */
const SENTENCE = /[\p{L}'’-]+ [\p{L}'’-]+ [\p{L}'’-]+/u;
const STATEMENT =
  /^.\s*(select|insert|update|delete|with|create|alter|begin|lock|drop|grant|set|truncate)\b/i;

/** The texts of a TypeScript or SQL file. What stands in backticks in them is code. */
export function textsOf(path: string, content: string): SourceText[] {
  return [...content.matchAll(path.endsWith('.sql') ? SQL : TYPESCRIPT)]
    .filter(([text]) => /^(\/\/|\/\*|--)/.test(text) || (SENTENCE.test(text) && !STATEMENT.test(text)))
    .map(({ 0: text, index }) => ({
      line: content.slice(0, index).split('\n').length,
      text: text.startsWith('`') ? text : text.replaceAll(/`[^`\n]*`/g, (code) => ' '.repeat(code.length)),
    }));
}
