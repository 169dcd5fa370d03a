// What if: another choice at one place, and how the search goes on from there.

import { bar, fill, make } from "./dom.js";
import { isEnd, joinedPieces, number, percentOfLog, quoted, shownPiece } from "./pieces.js";
import { say } from "./strings.js";

// `onForce(prefix)` continues the search from these target pieces; null where no server is there.
export function whatIfView(place, { onForce }) {
  let history = [];
  let open = null;
  let shown = null;

  function show(inspection, own) {
    if (shown !== inspection) open = null;
    if (inspection.prefix.length === 0) history = [];
    shown = inspection;
    const panel = make("div", { class: "panel", "aria-live": "polite" });
    const pieces = inspection.target_tokens.map((token, index) =>
      pieceButton(inspection, index, () => toggle(index, panel, pieces)),
    );
    fill(
      place,
      inspection.prefix.length && own ? forcedNote(inspection, own, back, () => force([])) : null,
      make("p", { class: "pieces", dir: "auto" }, ...pieces),
      panel,
    );
    if (open === null) fill(panel, make("p", { class: "quiet" }, say("whatIfHint")));
    else fill(panel, choicesAt(shown, open, onForce ? choose : null));
  }

  function toggle(index, panel, pieces) {
    open = open === index ? null : index;
    pieces.forEach((piece, at) => piece.setAttribute("aria-expanded", String(at === open)));
    if (open === null) fill(panel, make("p", { class: "quiet" }, say("whatIfHint")));
    else fill(panel, choicesAt(shown, open, onForce ? choose : null));
  }

  function choose(index, token) {
    history.push(shown.prefix);
    onForce([...shown.target_tokens.slice(0, index), token]);
  }

  function back() {
    onForce(history.pop() ?? []);
  }

  function force(prefix) {
    history = [];
    onForce(prefix);
  }

  return { show };
}

function pieceButton(inspection, index, onClick) {
  const token = inspection.target_tokens[index];
  const forced = index < inspection.prefix.length;
  const logProbability = inspection.token_log_probabilities[index];
  const share = percentOfLog(logProbability);
  const key = forced ? "pieceForced" : "pieceChosen";
  const doubt = logProbability < Math.log(0.5) ? " doubtful" : "";
  return make(
    "button",
    {
      type: "button",
      class: `piece-button${forced ? " forced" : ""}${doubt}`,
      "aria-expanded": "false",
      "aria-label": say(key, { token: quoted(token), share }),
      click: onClick,
    },
    make("span", { class: "word", dir: "auto" }, shownPiece(token)),
    make("span", { class: "share" }, share),
  );
}

function choicesAt(inspection, index, onChoose) {
  const taken = inspection.target_tokens[index];
  const before = joinedPieces(inspection.target_tokens.slice(0, index));
  const list = inspection.choices[index] ?? [];
  const most = Math.max(...list.map((choice) => choice.log_probability));
  return [
    make("h3", { class: "small", dir: "auto" }, before ? say("after", { text: before }) : say("atStart")),
    make(
      "ol",
      { class: "ranked choices-here" },
      list.map((choice) => {
        const label = shownPiece(choice.token);
        // the end cannot be forced: nothing would be left to search
        const open = onChoose && choice.token !== taken && !isEnd(choice.token);
        return make(
          "li",
          { class: choice.token === taken ? "chosen" : null },
          open
            ? make("button", { type: "button", dir: "auto", click: () => onChoose(index, choice.token) }, label)
            : make("span", { class: "words", dir: "auto" }, label),
          make(
            "span",
            { class: "figures" },
            bar(Math.exp(choice.log_probability - most)),
            make("span", {}, percentOfLog(choice.log_probability)),
            make("span", {}, choice.token === taken ? say("taken") : ""),
          ),
        );
      }),
    ),
  ];
}

function forcedNote(inspection, own, onBack, onReset) {
  const told = [
    [say("forcedFrom", { text: joinedPieces(inspection.prefix) }), inspection],
    [say("ownChoice"), own],
  ];
  return make(
    "div",
    { class: "forced-note", role: "status" },
    make(
      "dl",
      {},
      told.map(([head, one]) => [
        make("dt", { dir: "auto" }, head),
        make("dd", {}, make("span", { dir: "auto", class: "words" }, one.text), " ",
          make("span", { class: "quiet" }, say("scoreOf", { score: number(one.score) }))),
      ]),
    ),
    make("button", { type: "button", click: onBack }, say("back")),
    " ",
    make("button", { type: "button", click: onReset }, say("backToOwn")),
  );
}
