// The page of `penstock serve` and of `penstock export --web`: translate, and look inside.

import { byId, fill } from "./dom.js";
import { figures } from "./figures.js";
import { inspector } from "./inspector.js";
import { showError } from "./messages.js";
import { ask, offers } from "./service.js";
import { say } from "./strings.js";
import { switches } from "./switches.js";
import { tasksView } from "./tasks_view.js";
import { trainingView } from "./training_view.js";
import { translateView } from "./translate_view.js";

const look = inspector((state) => shown.show(state, look.again));
const shown = figures({
  onExact: offers.exact ? () => look.want({ exact: true }) : null,
  onUnits: () => look.want({ units: true }),
  onForce: (prefix) => look.want({ prefix }),
});
const translate = translateView({
  onTranslated: look.consider,
  onTyped: look.hold,
  onFailed: look.rest,
});
const training = trainingView(byId("training-figure"), byId("training-note"));
const tasks = tasksView(byId("tasks"), byId("tasks-panels"));
let served = null;

function describeModels() {
  const names = served?.pairs.map((pair) => {
    const attention = say(pair.attention === "none" ? "withoutAttention" : "withAttention");
    return `${pair.name} (${pair.cell.toUpperCase()}${say("comma")}${attention})`;
  });
  const key = offers.isServer ? "modelsServed" : "modelInPage";
  fill(byId("models"), names?.length ? say(key, { list: names.join(say("comma")) }) : "");
}

async function openModels() {
  try {
    served = await ask("/v1/models");
  } catch (error) {
    showError(byId("translate-trouble"), error, openModels);
    // a server that starts is found by itself; one that refuses needs somebody to act
    if (!error.status || error.status >= 500) window.setTimeout(openModels, 4000);
    return;
  }
  fill(byId("translate-trouble"));
  describeModels();
  // a server may be started with a run; a page is what it is
  for (const part of [byId("training").closest("section"), document.querySelector("[data-to=training]")]) {
    part.hidden = !offers.isServer && !served.run;
  }
  if (served.pairs.length > 0) translate.open(served);
  else fill(byId("translate-trouble"), say("noPairs"));
  training.open(served);
  tasks.open(served);
}

// The fragment holds the text: links within the page move without changing it.
function moveWithin(event) {
  const link = event.target.closest("a[data-to]");
  if (!link) return;
  event.preventDefault();
  const goal = byId(link.dataset.to);
  goal.focus({ preventScroll: true });
  goal.scrollIntoView();
}

switches(() => {
  translate.redraw();
  shown.show(look.state, look.again);
  training.redraw();
  tasks.redraw();
  describeModels();
});
shown.show(look.state, look.again);
document.addEventListener("click", moveWithin);
openModels();
