import { z } from 'zod';

/** An undo remembers nothing between its steps: it continues after its last row in dict.undone. */
export const undoContext = z.looseObject({});
