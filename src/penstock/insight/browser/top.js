// The ids of the `count` greatest numbers, greatest first; of equal ones the lower id first.

export function topTokens(values, count) {
  const ids = [];
  for (let id = 0; id < values.length; id += 1) {
    const value = values[id];
    if (ids.length === count && !(value > values[ids[count - 1]])) continue;
    let at = ids.length;
    while (at > 0 && value > values[ids[at - 1]]) at -= 1;
    ids.splice(at, 0, id);
    if (ids.length > count) ids.pop();
  }
  return ids;
}
