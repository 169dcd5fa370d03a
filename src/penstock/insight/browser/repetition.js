// Whether a run of up to 12 tokens occurs three times in a row.

const LONGEST = 12;
const TIMES = 3;

export function hasLoop(tokens) {
  const most = Math.min(LONGEST, Math.floor(tokens.length / TIMES));
  for (let size = 1; size <= most; size += 1) {
    let equal = 0; // tokens in a row that equal the one `size` before them
    for (let i = size; i < tokens.length; i += 1) {
      equal = tokens[i] === tokens[i - size] ? equal + 1 : 0;
      if (equal >= size * (TIMES - 1)) return true;
    }
  }
  return false;
}
