/** How many round trips may run simultaneously: while one waits for its commit, another is computed. */
const MAX_IN_FLIGHT = 3;
/** The maximum number of items per statement, which keeps each statement short. */
const MAX_BATCH = 10;

interface Asked<Q, A> {
  question: Q;
  answer: (answer: A | undefined) => void;
}

/**
 * Sends several requests to Postgres in one statement: those made at the same moment, or while other round trips are
 * running. A single request is sent immediately.
 *
 * `ask` returns the answers by the requests' ids. A request gets undefined if `ask` left it out, or if the whole
 * statement failed. The caller then repeats its request alone, so that one bad request does not make others fail.
 */
export class StatementBatcher<Q extends { id: string }, A> {
  readonly #ask: (questions: readonly Q[]) => Promise<ReadonlyMap<string, A>>;
  #waiting: Asked<Q, A>[] = [];
  #running = 0;
  #scheduled = false;

  constructor(ask: (questions: readonly Q[]) => Promise<ReadonlyMap<string, A>>) {
    this.#ask = ask;
  }

  /** Never rejects. */
  async ask(question: Q): Promise<A | undefined> {
    const { promise, resolve } = Promise.withResolvers<A | undefined>();
    this.#waiting.push({ question, answer: resolve });
    this.#schedule();
    return promise;
  }

  #schedule(): void {
    if (this.#scheduled || this.#running === MAX_IN_FLIGHT || this.#waiting.length === 0) return;
    this.#scheduled = true;
    // Requests made later in this turn of the event loop are included.
    setImmediate(() => {
      this.#scheduled = false;
      void this.#send();
    });
  }

  async #send(): Promise<void> {
    const batch = this.#waiting.splice(0, MAX_BATCH);
    this.#running++;
    this.#schedule();
    let answers: ReadonlyMap<string, A> = new Map();
    try {
      answers = await this.#ask(batch.map(({ question }) => question));
    } catch {
      // Each caller repeats its request alone, and sees the error if it happens again.
    }
    this.#running--;
    for (const { question, answer } of batch) answer(answers.get(question.id));
    this.#schedule();
  }
}
