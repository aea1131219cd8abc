// Preloaded into a worker (node --import): at its crash point it is not killed, but runs out of memory.
process.kill = () => {
  const hoard: number[][] = [];
  for (;;) hoard.push(Array.from({ length: 100_000 }, (_, n) => n * 1.5));
};
