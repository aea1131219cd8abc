/** A generated page of docs/reference. */
export interface Page {
  /** Its path in the repository. */
  file: string;
  text(): string;
}
