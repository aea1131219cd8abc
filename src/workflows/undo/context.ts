import { z } from 'zod';

/** An undo remembers nothing between its steps: its last row in dict.undone is where it goes on. */
export const undoContext = z.looseObject({});
