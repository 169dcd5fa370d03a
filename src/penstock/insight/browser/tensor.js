// A tensor is {data, shape}: float32 in a Float32Array, whole numbers (ONNX's int64: ids, sizes) in an
// Int32Array, int8 and uint8 in theirs, booleans as 0 and 1 in a Uint8Array.

export function tensor(data, shape) {
  return { data, shape };
}

export function sizeOf(shape) {
  let size = 1;
  for (const dimension of shape) size *= dimension;
  return size;
}

// An axis that may count from the end.
export function axisOf(axis, shape) {
  return axis < 0 ? axis + shape.length : axis;
}

// The two shapes' common one, as numpy broadcasts.
export function broadcastShape(one, other) {
  const rank = Math.max(one.length, other.length);
  const shape = new Array(rank);
  for (let i = 0; i < rank; i += 1) {
    const a = one[one.length - rank + i] ?? 1;
    const b = other[other.length - rank + i] ?? 1;
    if (a !== b && a !== 1 && b !== 1) throw new Error(`shapes ${one} and ${other} do not match`);
    shape[i] = a === 1 ? b : a;
  }
  return shape;
}

// For each number of a broadcast shape, where it stands in a tensor of the given shape.
export function broadcastPlaces(shape, wanted) {
  const size = sizeOf(wanted);
  const places = new Int32Array(size);
  let step = 1; // within the tensor
  let block = 1; // within the wanted shape
  for (let axis = wanted.length - 1; axis >= 0; axis -= 1) {
    const own = shape[axis - wanted.length + shape.length] ?? 1;
    if (own > 1) {
      for (let i = 0; i < size; i += 1) {
        places[i] += step * (Math.floor(i / block) % wanted[axis]);
      }
      step *= own;
    }
    block *= wanted[axis];
  }
  return places;
}
