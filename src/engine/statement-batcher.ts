/** How many round trips may be under way at once: while one waits for its commit another is computed. */
const MAX_IN_FLIGHT = 3;
/** What one statement takes at most, so that none runs long. */
const MAX_BATCH = 10;

interface Asked<Q, A> {
  question: Q;
  answer: (answer: A | undefined) => void;
}

/**
 * Asks Postgres about many things in one statement: what is asked for at the same moment, or while other round trips
 * are under way, goes together. One alone goes at once.
 *
 * `ask` answers by the questions' ids. Undefined is the answer to a question that it left out, and to all of a statement
 * that failed: each then asks for itself, so that nobody pays for another's mistake.
 */
export class StatementBatcher<Q extends { id: string }, A> {
  readonly #ask: (questions: readonly Q[]) => Promise<ReadonlyMap<string, A>>;
  #waiting: Asked<Q, A>[] = [];
  #underWay = 0;
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
    if (this.#scheduled || this.#underWay === MAX_IN_FLIGHT || this.#waiting.length === 0) return;
    this.#scheduled = true;
    // Whoever asks in this turn of the event loop still comes along.
    setImmediate(() => {
      this.#scheduled = false;
      void this.#send();
    });
  }

  async #send(): Promise<void> {
    const batch = this.#waiting.splice(0, MAX_BATCH);
    this.#underWay++;
    this.#schedule();
    let answers: ReadonlyMap<string, A> = new Map();
    try {
      answers = await this.#ask(batch.map(({ question }) => question));
    } catch {
      // Each asks for itself, and meets what failed.
    }
    this.#underWay--;
    for (const { question, answer } of batch) answer(answers.get(question.id));
    this.#schedule();
  }
}
