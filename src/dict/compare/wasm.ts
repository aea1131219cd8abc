/**
 * As much of an assembler for WebAssembly as src/dict/compare/cid-kernel.ts needs: each instruction is a function that
 * takes the code of its operands, so that code reads as an expression. https://webassembly.github.io/spec/core/binary
 */
export type Code = readonly number[];

const I32 = 0x7f;
const V128 = 0x7b;
/** Of a memory: with a maximum, as a shared one must. */
const SHARED = 3;

const instruction =
  (...opcode: number[]) =>
  (...operands: Code[]): Code => [...operands.flat(), ...opcode];
const vector = (opcode: number) => instruction(0xfd, ...unsigned(opcode));
/** Of loads and stores: the alignment promised (none), and an offset beside the address. */
const at = (offset: number) => [0, ...unsigned(offset)];

export const i32 = {
  const: (value: number): Code => [0x41, ...signed(value)],
  load8: (offset: number, address: Code) => instruction(0x2d, ...at(offset))(address),
  load16: (offset: number, address: Code) => instruction(0x2f, ...at(offset))(address),
  load: (offset: number, address: Code) => instruction(0x28, ...at(offset))(address),
  store: (offset: number, address: Code, value: Code) => instruction(0x36, ...at(offset))(address, value),
  isZero: instruction(0x45),
  equal: instruction(0x46),
  notLess: instruction(0x4f),
  add: instruction(0x6a),
  multiply: instruction(0x6c),
  or: instruction(0x72),
  shiftLeft: instruction(0x74),
  shiftRight: instruction(0x76),
};

/** 16 bytes at once; `x16` works on each byte, `x8` on each two. */
export const v128 = {
  load: (offset: number, address: Code) => instruction(0xfd, 0, ...at(offset))(address),
  store: (offset: number, address: Code, value: Code) => instruction(0xfd, 11, ...at(offset))(address, value),
  and: vector(0x4e),
  or: vector(0x50),
  xor: vector(0x51),
};
export const x16 = {
  all: (byte: number) => vector(0x0f)(i32.const(byte)),
  byte: (lane: number, of: Code) => instruction(0xfd, 0x16, lane)(of),
  less: vector(0x26),
  allTrue: vector(0x63),
  shiftLeft: vector(0x6b),
  shiftRight: vector(0x6d),
  add: vector(0x6e),
  subtract: vector(0x71),
};
export const x8 = {
  all: (word: number) => vector(0x10)(i32.const(word)),
  /** The low bytes of both, one after the other; the high ones must be 0. */
  narrow: vector(0x66),
  shiftLeft: vector(0x8b),
  shiftRight: vector(0x8d),
};

/** A variable or parameter of the function, by its number. */
export const variable = (index: number) => ({
  get: [0x20, ...unsigned(index)] as Code,
  set: (value: Code): Code => [...value, 0x21, ...unsigned(index)],
});

/** Repeats the body until one of its `leaveIf` leaves. */
export const loop = (...body: Code[]): Code => [
  ...[0x02, 0x40],
  ...[0x03, 0x40],
  ...body.flat(),
  ...[0x0c, 0],
  ...[0x0b, 0x0b],
];
/** In a loop's body: leaves the loop when the condition is not 0. `depth`: how many `when` it is in. */
export const leaveIf = (condition: Code, depth = 0): Code => [...condition, 0x0d, 1 + depth];
/** Runs the body when the condition is not 0. */
export const when = (condition: Code, ...body: Code[]): Code => [
  ...condition,
  ...[0x04, 0x40],
  ...body.flat(),
  0x0b,
];

/** What makes a function: its variables come after its parameters, the plain ones (i32) before the vectors (v128). */
export interface FunctionParts {
  parameters: number;
  plain: number;
  vectors: number;
  /** Leaves `results` numbers. */
  code: Code[];
  results: number;
}

declare global {
  // Node's own types leave it to those of browsers.
  namespace WebAssembly {
    class Memory {
      constructor(descriptor: { initial: number; maximum: number; shared: true });
      readonly buffer: SharedArrayBuffer;
    }
    const Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
    class Instance {
      constructor(module: object, imports: Record<string, Record<string, unknown>>);
      readonly exports: Record<string, unknown>;
    }
  }
}

const PAGE_BYTES = 1 << 16;

/** That function, taking and giving plain numbers, and a memory for it of at least so many bytes, all 0. */
export function instantiate(
  parts: FunctionParts,
  bytes: number,
): { memory: SharedArrayBuffer; run: (...parameters: number[]) => number[] } {
  const pages = Math.ceil(bytes / PAGE_BYTES);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const module = new WebAssembly.Module(encoded(parts, pages));
  const { exports } = new WebAssembly.Instance(module, { js: { memory } });
  return { memory: memory.buffer, run: exports['run'] as (...parameters: number[]) => number[] };
}

/** The module: its types, what it imports, its function, what it exports, its code. */
function encoded(parts: FunctionParts, pages: number): Uint8Array<ArrayBuffer> {
  const variables = list([
    [parts.plain, I32],
    [parts.vectors, V128],
  ]);
  const body = [...variables, ...parts.code.flat(), 0x0b];
  const i32s = (count: number) => list(Array.from({ length: count }, () => [I32]));
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d],
    ...[1, 0, 0, 0],
    ...section(1, [0x60, ...i32s(parts.parameters), ...i32s(parts.results)]),
    ...section(2, [...name('js'), ...name('memory'), 2, SHARED, ...unsigned(pages), ...unsigned(pages)]),
    ...section(3, [0]),
    ...section(7, [...name('run'), 0, 0]),
    ...section(10, [...unsigned(body.length), ...body]),
  ]);
}

/** Each section of ours has one element. */
function section(id: number, element: Code): Code {
  const content = list([element]);
  return [id, ...unsigned(content.length), ...content];
}

function list(elements: Code[]): Code {
  return [...unsigned(elements.length), ...elements.flat()];
}

function name(text: string): Code {
  return [...unsigned(text.length), ...Buffer.from(text)];
}

/** LEB128. */
function unsigned(value: number): Code {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

function signed(value: number): Code {
  return value >= -0x40 && value < 0x40 ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signed(value >> 7)];
}
