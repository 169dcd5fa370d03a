// The document of `penstock inspect`: the figures of one inspection, without a server.

import { byId, fill } from "./dom.js";
import { figures } from "./figures.js";
import { number } from "./pieces.js";
import { say } from "./strings.js";
import { switches } from "./switches.js";

const given = JSON.parse(byId("inspection").textContent);
const state = { phase: "ready", inspection: given, error: null, own: null };
const drawn = figures({ onExact: null, onUnits: null, onForce: null });

function showGiven() {
  fill(byId("source"), given.source);
  fill(byId("output"), given.text);
  fill(byId("score"), say("scoreOf", { score: number(given.score, 3) }));
  drawn.show(state, null);
}

switches(showGiven);
showGiven();
