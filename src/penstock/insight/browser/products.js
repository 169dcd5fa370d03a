// Products of uint8 activations and int8 weights, summed exactly in 32 bits.
//
// WebAssembly with SIMD multiplies eight numbers at a time; a browser without it takes a loop in
// JavaScript, which gives the same sums.

const BLOCK = 16; // weights that a step of the loop takes

// One implementation: `pack(weight, inputs, outputs)` lays weights (I, O) out once,
// `multiply(packed, x, rows, zero)` gives the sums (rows, O) of x - zero, x of uint8 (rows, I).
export function products(withSimd = true) {
  return (withSimd ? simdProducts() : null) ?? plainProducts();
}

function plainProducts() {
  return {
    name: "JavaScript",
    pack: (weight, inputs, outputs) => ({
      inputs,
      outputs,
      weight: transposed(weight, inputs, outputs, inputs, new Int8Array(inputs * outputs)),
    }),
    multiply({ weight, inputs, outputs }, x, rows, zero) {
      const sums = new Int32Array(rows * outputs);
      const row = new Int32Array(inputs);
      for (let r = 0; r < rows; r += 1) {
        for (let i = 0; i < inputs; i += 1) row[i] = x[r * inputs + i] - zero;
        for (let o = 0, at = 0; o < outputs; o += 1) {
          let sum = 0;
          for (let i = 0; i < inputs; i += 1, at += 1) sum += row[i] * weight[at];
          sums[r * outputs + o] = sum;
        }
      }
      return sums;
    },
  };
}

function transposed(weight, inputs, outputs, width, found) {
  for (let i = 0; i < inputs; i += 1) {
    for (let o = 0; o < outputs; o += 1) found[o * width + i] = weight[i * outputs + o];
  }
  return found;
}

function simdProducts() {
  let memory, dot;
  try {
    memory = new WebAssembly.Memory({ initial: 16, maximum: 65536 });
    const compiled = new WebAssembly.Module(dotModule());
    ({ dot } = new WebAssembly.Instance(compiled, { js: { memory } }).exports);
  } catch {
    return null; // no WebAssembly, none with SIMD, or a policy that forbids it
  }
  let end = 0;
  const room = { at: 0, size: 0 };

  function allocate(size) {
    const at = end;
    end += (size + 15) & ~15;
    const missing = end - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / 65536));
    return at;
  }

  return {
    name: "WebAssembly SIMD",
    pack(weight, inputs, outputs) {
      const width = Math.ceil(inputs / BLOCK) * BLOCK;
      const at = allocate(width * outputs);
      const place = new Int8Array(memory.buffer, at, width * outputs).fill(0);
      transposed(weight, inputs, outputs, width, place);
      return { inputs, outputs, width, at };
    },
    multiply({ inputs, outputs, width, at }, x, rows, zero) {
      const [left, right] = [2 * rows * width, 4 * rows * outputs];
      if (left + right > room.size) Object.assign(room, { at: allocate(left + right), size: left + right });
      const signed = new Int16Array(memory.buffer, room.at, rows * width);
      for (let r = 0, from = 0; r < rows; r += 1) {
        const to = r * width;
        for (let i = 0; i < inputs; i += 1, from += 1) signed[to + i] = x[from] - zero;
        signed.fill(0, to + inputs, to + width);
      }
      dot(room.at, at, room.at + left, rows, outputs, width);
      return new Int32Array(memory.buffer, room.at + left, rows * outputs);
    },
  };
}

// The module: `dot(a, w, out, rows, outs, n)` with a of int16 (rows, n), w of int8 (outs, n) and out of
// int32 (rows, outs); n is a multiple of 16. Opcodes: webassembly.github.io/spec/core/binary.
function dotModule() {
  const [A, W, OUT, ROWS, OUTS, N, PA, PW, LAST, R, PO, END, SUM, EIGHT] = Array(14).keys();
  const get = (local) => [0x20, local];
  const set = (local, ...value) => [...value, 0x21, local];
  const number = (value) => [0x41, value];
  const add = (...values) => [...values.flat(), ...Array(values.length - 1).fill(0x6a)];
  const times = (one, other) => [...one, ...other, 0x6c];
  const advance = (local, by) => set(local, ...add(get(local), by));
  const loop = (body, one, other) => [0x03, 0x40, ...body, ...get(one), ...get(other), 0x49, 0x0d, 0, 0x0b];
  const load = (local, offset) => [...get(local), 0xfd, 0x00, 0, offset];
  const half = (high) => [...get(EIGHT), 0xfd, high ? 0x88 : 0x87, 0x01]; // eight int8 as int16
  const dotted = (offset, high) => [...load(PA, offset), ...half(high), 0xfd, 0xba, 0x01];
  const lane = (index) => [...get(SUM), 0xfd, 0x1b, index];
  const plus = [0xfd, 0xae, 0x01];
  const inner = [
    ...set(EIGHT, ...load(PW, 0)),
    ...set(SUM, ...get(SUM), ...dotted(0, false), ...plus, ...dotted(16, true), ...plus),
    ...advance(PA, number(32)),
    ...advance(PW, number(16)),
  ];
  const row = [
    ...set(SUM, 0xfd, 0x0c, ...Array(16).fill(0)),
    ...set(PW, ...get(W)),
    ...loop(inner, PW, LAST),
    ...get(PO), ...add(lane(0), lane(1), lane(2), lane(3)), 0x36, 2, 0,
    ...advance(PO, times(get(OUTS), number(4))),
    ...advance(R, number(1)),
  ];
  const output = [
    ...set(PA, ...get(A)),
    ...set(R, ...number(0)),
    ...set(PO, ...get(OUT)),
    ...set(LAST, ...add(get(W), get(N))),
    ...loop(row, R, ROWS),
    ...set(W, ...get(LAST)),
    ...advance(OUT, number(4)),
  ];
  const code = [
    2, 6, 0x7f, 2, 0x7b, // six locals i32, two v128
    ...set(END, ...add(get(W), times(get(OUTS), get(N)))),
    ...loop(output, W, END),
    0x0b,
  ];
  const bytes = (text) => [text.length, ...new TextEncoder().encode(text)];
  const size = (length) => (length < 128 ? [length] : [(length & 0x7f) | 0x80, length >> 7]);
  const section = (id, ...content) => [id, ...size(content.length), ...content];
  return Uint8Array.from([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, 1, 0x60, 6, ...Array(6).fill(0x7f), 0),
    ...section(2, 1, ...bytes("js"), ...bytes("memory"), 2, 1, 16, 0x80, 0x80, 0x04),
    ...section(3, 1, 0),
    ...section(7, 1, ...bytes("dot"), 0, 0),
    ...section(10, 1, ...size(code.length), ...code),
  ]);
}
