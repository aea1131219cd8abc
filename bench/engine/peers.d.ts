// The little that the contest uses of the peers, so that types check where they are not installed.

declare module '@dbos-inc/dbos-sdk' {
  export const DBOS: {
    setConfig(config: {
      name: string;
      systemDatabaseUrl: string;
      systemDatabasePoolSize: number;
      logLevel: string;
    }): void;
    registerWorkflow<Args extends unknown[], R>(
      run: (...args: Args) => Promise<R>,
      config: { name: string },
    ): (...args: Args) => Promise<R>;
    runStep<R>(step: () => Promise<R>, config: { name: string }): Promise<R>;
    startWorkflow<Args extends unknown[], R>(
      workflow: (...args: Args) => Promise<R>,
      options: { workflowID: string },
    ): (...args: Args) => Promise<{ getResult(): Promise<R> }>;
    launch(): Promise<void>;
    shutdown(): Promise<void>;
  };
}

declare module 'pg-boss' {
  export class PgBoss {
    constructor(options: { connectionString: string; max: number; supervise: boolean; schedule: boolean });
    on(event: 'error', listener: (error: Error) => void): void;
    start(): Promise<unknown>;
    createQueue(name: string): Promise<void>;
    send(name: string, data: object): Promise<string | null>;
    insert(name: string, jobs: { data: object }[]): Promise<unknown>;
    fetch(name: string, options: { batchSize: number }): Promise<{ id: string; data: { n: number } }[]>;
    complete(name: string, id: string | string[], output?: object): Promise<unknown>;
    stop(options: { graceful: boolean }): Promise<void>;
  }
}
