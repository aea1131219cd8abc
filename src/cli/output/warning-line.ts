import { type Warning, warningText } from '../../dict/vsync/warnings.ts';

/** A warning in one line. */
export function warningLine(warning: Warning): string {
  const { participant, keyType, code } = warning;
  return labelled(code, participant, keyType, warningText(warning));
}

/** A warning in one line, from its code (in upper or lower case) and its sentences. */
export function labelled(code: string, participant: string, keyType: string, text: string): string {
  const label = code.toUpperCase() === 'DEADLINE_MISSED' ? 'Deadline missed' : 'Warning';
  return `${label}: ${participant} ${keyType}. ${text}`;
}
